"""Read a LoRA that was made elsewhere, by peft, kohya's scripts or diffusers, as an expert."""

import json
from pathlib import Path
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from versat2i.adapters import lora, mixture
from versat2i.adapters.lora import Adapter
from versat2i.formats import tensors
from versat2i.models.diffusion import Backbone, peft_config
from versat2i.work import files
from versat2i.work import identity as identities

PEFT, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"  # of a folder
PEFT_PREFIX = "base_model.model."
DOWN = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight")  # by peft and diffusers, kohya, older diffusers
UP = (".lora_B.weight", ".lora_up.weight", ".lora.up.weight")
TEXT = ("lora_te", "text_encoder")  # what the tensors of a text encoder are called


def identity(path: Path) -> str:
    """Hash of a file, or of what a loader may read of a folder.

    Raises:
        ValueError: there is no such file or folder.
    """
    if path.is_dir():
        return identities.of(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such LoRA. Name a .safetensors file, or a folder that peft wrote")
    return files.file_hash(path)


def read(path: Path, name: str, model: Backbone) -> Adapter:
    """A LoRA made elsewhere, with its layers' own scales, checked against the base model.

    Args:
        path: a ``.safetensors`` file with the names of diffusers or kohya; or a folder with such a file as
            ``pytorch_lora_weights.safetensors``, or with peft's two files, of which one has the scale.
        name: of the expert.
        model: the base model; it is left as it was.

    Raises:
        ValueError: there is no such file, it holds more than a plain LoRA of the denoiser, or not one of this model.
    """
    if (path / PEFT_CONFIG).is_file():
        adapter = _by_peft(path, name)
        path = path / PEFT
    else:
        path = path / lora.FILE if path.is_dir() else path
        if path.name == PEFT:
            raise ValueError(f"{path}: peft keeps the scale in {PEFT_CONFIG}. Name the folder that holds both")
        adapter = _by_diffusers(path, name, model)
    try:
        mixture.adapted(model.denoiser, [adapter])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Adapter(name, adapter.down, adapter.up, adapter.alpha, {**model.origin, "adapter": name})


def _by_peft(folder: Path, name: str) -> Adapter:
    path = folder / PEFT_CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config["lora_alpha"] = float(config["lora_alpha"])
        kind = config.pop("peft_type", "LORA")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no settings of a LoRA that peft wrote ({' '.join(str(error).split())})") from None
    if kind != "LORA":
        raise ValueError(f"{path}: peft_type is {kind}, expected is LORA: only plain LoRAs can be mixed")
    state, _ = tensors.read(folder / PEFT)
    return lora.plain(name, state, PEFT_PREFIX, config, {}, folder / PEFT)


def _by_diffusers(path: Path, name: str, model: Backbone) -> Adapter:
    """Have diffusers load it, which knows the names of many tools, and take it out of the denoiser again."""
    state, _ = tensors.read(path)
    layers = _layers(state, path)
    try:
        model.pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
        found = _loaded(model.denoiser, name)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        problem = " ".join(str(error).split())[:300]
        raise ValueError(f"{path}: diffusers cannot load it into this {model.pipeline_class} ({problem})") from None
    finally:
        if hasattr(model.pipe, "unload_lora_weights"):
            model.pipe.unload_lora_weights()
    if len(found) < layers:  # a layer of the file may be several of the model: queries, keys and values in one
        raise ValueError(
            f"{path}: {layers - len(found)} of its {layers} layers are not in this {type(model.denoiser).__name__}. "
            "Use the base model it was trained on"
        )
    down, up = ({module: pair[side] for module, pair in found.items()} for side in (0, 1))
    ranks = {module: len(weight) for module, weight in down.items()}
    config = {"lora_alpha": float(max(ranks.values())), "rank_pattern": ranks, "alpha_pattern": ranks}
    down, up = peft_config.uniform(down, up, config, path)  # at scale 1
    return Adapter(name, down, up, config["lora_alpha"])  # type: ignore[arg-type]


def _layers(state: dict[str, Tensor], path: Path) -> int:
    """How many layers a file adapts.

    Raises:
        ValueError: it holds anything but a plain LoRA of a denoiser.
    """
    if texts := sorted(key for key in state if key.startswith(TEXT)):
        raise ValueError(
            f"{path}: holds {texts[0]}, of the text encoder: only LoRAs of the denoiser can be mixed. Train it without"
        )
    if others := sorted(key for key in state if not key.endswith((*DOWN, *UP, ".alpha"))):
        raise ValueError(f"{path}: holds {others[0]}, no plain LoRA's: expected are pairs of lora_A and lora_B")
    layers = sum(key.endswith(DOWN) for key in state)
    if not layers:
        raise ValueError(f"{path}: holds no LoRA: expected are pairs of lora_A and lora_B")
    return layers


def _loaded(denoiser: nn.Module, name: str) -> dict[str, tuple[Tensor, Tensor]]:
    """A and ``scale B`` of each layer that a loaded LoRA adapts, by module name, copied."""
    found = {}
    for module, layer in denoiser.named_modules():
        if isinstance(layer, BaseTunerLayer) and name in (parts := getattr(layer, "lora_A", {})):
            up = layer.lora_B[name].weight.detach().cpu().float()
            scale = layer.scaling[name]
            found[module] = (parts[name].weight.detach().cpu().float().clone(), scale * up)
    return found
