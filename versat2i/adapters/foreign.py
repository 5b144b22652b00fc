"""Read a LoRA that was made elsewhere, by peft, kohya's scripts, ComfyUI or diffusers, as an expert."""

from pathlib import Path

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from versat2i.adapters import lora_formats, mixture
from versat2i.adapters.lora import Adapter
from versat2i.formats import tensors
from versat2i.models.diffusion import Backbone, peft_config
from versat2i.work import files
from versat2i.work import identity as identities

PEFT = "adapter_model.safetensors"  # of a folder; the scale lies beside it


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

    `lora_formats` reads it; where it has names that are not known there, such as those of SDXL's first checkpoint,
    diffusers does.

    Args:
        path: a ``.safetensors`` file with the names of diffusers, kohya or ComfyUI; or a folder with such a file as
            ``pytorch_lora_weights.safetensors``, or with peft's two files, of which one has the scale.
        name: of the expert.
        model: the base model; it is left as it was.

    Raises:
        ValueError: there is no such file, it holds more than a plain LoRA of the denoiser, or not one of this model.
    """
    if path.name == PEFT:
        raise ValueError(f"{path}: peft keeps the scale in {lora_formats.CONFIG}. Name the folder that holds both")
    try:
        adapter = lora_formats.read(path, name, model)
    except lora_formats.UnknownLayer as unknown:
        adapter = _by_diffusers(lora_formats.file(path), name, model, unknown)
    try:
        mixture.adapted(model.denoiser, [adapter])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return adapter


def _by_diffusers(path: Path, name: str, model: Backbone, unknown: lora_formats.UnknownLayer) -> Adapter:
    """Have diffusers load it, which knows the names of many tools, and take it out of the denoiser again.

    Raises:
        UnknownLayer: the one given; diffusers does not know all of its layers either.
    """
    state, _ = tensors.read(path)
    layers = sum(lora_formats.part(key) == "down" for key in state)
    try:
        model.pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
        found = _loaded(model.denoiser, name)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise unknown from None
    finally:
        if hasattr(model.pipe, "unload_lora_weights"):
            model.pipe.unload_lora_weights()
    if len(found) < layers:  # a layer of the file may be several of the model: queries, keys and values in one
        raise unknown
    down, up = ({module: pair[side] for module, pair in found.items()} for side in (0, 1))
    ranks = {module: len(weight) for module, weight in down.items()}
    config = {"lora_alpha": float(max(ranks.values())), "rank_pattern": ranks, "alpha_pattern": ranks}
    down, up = peft_config.uniform(down, up, config, path)  # at scale 1
    return Adapter(name, down, up, float(max(ranks.values())), {"adapter": name} | model.origin)


def _loaded(denoiser: nn.Module, name: str) -> dict[str, tuple[Tensor, Tensor]]:
    """A and ``scale B`` of each layer that a loaded LoRA adapts, by module name, copied."""
    found = {}
    for module, layer in denoiser.named_modules():
        if isinstance(layer, BaseTunerLayer) and name in (parts := getattr(layer, "lora_A", {})):
            up = layer.lora_B[name].weight.detach().cpu().float()
            scale = layer.scaling[name]
            found[module] = (parts[name].weight.detach().cpu().float().clone(), scale * up)
    return found
