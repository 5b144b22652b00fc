"""Read LoRAs that other trainers made, in the names of PEFT, kohya, diffusers or ComfyUI."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from versat2i.adapters.lora import Adapter
from versat2i.formats import tensors
from versat2i.models.diffusion import Backbone, peft_config, published, quantized
from versat2i.settings.complaints import hint

CONFIG = "adapter_config.json"  # of PEFT, beside its weights
WEIGHTS = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
STARTS = (  # what trainers put before a layer's name
    *("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "unet."),
    *("lora_unet_", "lora_transformer_", "lycoris_"),
)
ENDS = {  # what they put behind it, and which matrix that is
    **dict.fromkeys((".lora_A.weight", ".lora_A.default.weight", ".lora_down.weight", ".lora.down.weight"), "down"),
    **dict.fromkeys((".lora_B.weight", ".lora_B.default.weight", ".lora_up.weight", ".lora.up.weight"), "up"),
    ".alpha": "alpha",
}
OTHERS = {  # marks of what is no plain LoRA of a denoiser
    "dora_scale": "a DoRA",
    ".lokr_": "a LoKr",
    ".hada_": "a LoHa",
    ".lora_mid": "a LoCon with a third matrix",
    "text_encoder": "a LoRA of the text encoder too",
    "lora_te": "a LoRA of the text encoder too",
}


class UnknownLayer(ValueError):
    """A layer of the file is none of the base model's by any name that is known here."""


@dataclass(frozen=True)
class _Target:
    """A layer of the denoiser, and which rows of a layer of the file are its own; all where `height` is None."""

    module: str
    start: int = 0
    height: int | None = None


def read(path: Path, name: str, model: Backbone) -> Adapter:
    """Read a LoRA made elsewhere as one of this package's: all layers at one rank and scale 1.

    A layer's scale is ``alpha / rank``: alpha from its own tensor, from PEFT's config in the metadata or beside the
    file, or none, which means scale 1. Layers that the file has on top of each other (``qkv``) are taken apart.

    Args:
        path: a safetensors file, or a folder that holds one.
        name: of the adapter.
        model: the base model whose layers it adapts.

    Raises:
        UnknownLayer: the base model has no such layer.
        ValueError: the file is missing or damaged, is no plain LoRA of a denoiser, or does not fit the base model.
    """
    path = file(path)
    state, metadata = tensors.read(path)
    _check_kind(state, path)
    layers = _layers(state, path)
    scaled = _scaled(layers, _config(metadata, path), path)
    targets = _targets(model)
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    for layer, (a, b) in scaled.items():
        found = targets.get(_key(layer))
        if found is None:
            raise UnknownLayer(
                f"{path}: layer '{layer}' is not in this {type(model.denoiser).__name__}; use the base model that the "
                f"LoRA was trained on{hint(_bare(layer), _known(model))}"
            )
        for target in found:
            rows = b if target.height is None else b[target.start : target.start + target.height]
            if target.height is not None and not rows.any():
                continue  # the file adapts other layers of the stack
            columns = rows.flatten(1).any(0) if target.height is not None else torch.ones(len(a), dtype=torch.bool)
            down[target.module], up[target.module] = a[columns], rows[:, columns]
        _check_shape(layer, found, a, b, model.denoiser, path)
    most = max(len(a) for a in down.values())
    up = {module: len(down[module]) / most * b for module, b in up.items()}  # `uniform` multiplies by most / rank
    down, up = peft_config.uniform(down, up, {"lora_alpha": float(most)}, path)
    return Adapter(name, down, up, float(most), {"adapter": name} | model.origin)


def file(path: Path) -> Path:
    """The file itself, or the one of a folder.

    Raises:
        ValueError: the folder holds no LoRA, or several.
    """
    if not path.is_dir():
        return path
    named = [path / name for name in WEIGHTS if (path / name).is_file()]
    found = named[:1] or sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        raise ValueError(f"{path}: holds {len(found)} safetensors files, expected one LoRA. Name the file itself")
    return found[0]


def _check_kind(state: dict[str, Tensor], path: Path) -> None:
    for mark, kind in OTHERS.items():
        if key := next((key for key in sorted(state) if mark in key), None):
            raise ValueError(
                f"{path}: holds {key}, no plain LoRA's: it is {kind}. Only plain LoRAs of the denoiser can be loaded "
                "and mixed: train it as one"
            )


def part(key: str) -> str | None:
    """What a tensor of a file is: `down`, `up` or `alpha`; None for anything else."""
    return next((which for end, which in ENDS.items() if key.endswith(end)), None)


def _layers(state: dict[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """The matrices, and alpha, by the layer's name in the file."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in sorted(state.items()):
        end = next((end for end in ENDS if key.endswith(end)), "")
        which = part(key)
        if which is None:
            raise ValueError(f"{path}: holds {key}, which is no part of a LoRA in a format that is known here")
        found.setdefault(key.removesuffix(end), {})[which] = tensor.float()
    if not found:
        raise ValueError(f"{path}: holds no LoRA: expected are pairs of lora_A and lora_B")
    for layer, parts in found.items():
        if not {"down", "up"} <= parts.keys():
            raise ValueError(
                f"{path}: layer '{layer}' has no {'up' if 'down' in parts else 'down'} matrix. Is it whole?"
            )
        a, b = parts["down"], parts["up"]
        if a.ndim not in (2, 4) or b.ndim != a.ndim or len(a) != b.shape[1] or not len(a):
            raise ValueError(f"{path}: layer '{layer}' has matrices of {list(a.shape)} and {list(b.shape)}: no LoRA")
    return found


def _config(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    """PEFT's settings, from diffusers' metadata or the file beside; empty where there are none."""
    beside = path.with_name(CONFIG)
    text, place = metadata.get("lora_adapter_metadata"), path
    if text is None and beside.is_file():
        text, place = beside.read_text(encoding="utf-8"), beside
    if text is None:
        return {}
    try:
        config = {
            key.removeprefix("transformer.").removeprefix("unet."): value for key, value in json.loads(text).items()
        }
        if place == beside or "lora_alpha" in config:
            config["lora_alpha"] = float(config["lora_alpha"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{place}: no settings of a LoRA that peft wrote ({' '.join(str(error).split())})") from None
    if (kind := config.get("peft_type", "LORA")) != "LORA":
        raise ValueError(f"{place}: peft_type is {kind}, expected is LORA: only plain LoRAs can be loaded and mixed")
    peft_config.check_plain(config, path)
    return config


def _scaled(
    layers: dict[str, dict[str, Tensor]], config: dict[str, Any], path: Path
) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of each layer, its scale part of B."""
    if "lora_alpha" not in config or any("alpha" in parts for parts in layers.values()):
        return {
            layer: (parts["down"], float(parts.get("alpha", len(parts["down"]))) / len(parts["down"]) * parts["up"])
            for layer, parts in layers.items()
        }
    names = {layer: _bare(layer) for layer in layers}  # PEFT's patterns do not know what stands before
    down = {names[layer]: parts["down"] for layer, parts in layers.items()}
    up = {names[layer]: parts["up"] for layer, parts in layers.items()}
    down, up = peft_config.uniform(down, up, config, path)
    most = len(next(iter(down.values())))
    return {layer: (down[bare], config["lora_alpha"] / most * up[bare]) for layer, bare in names.items()}


def _bare(layer: str) -> str:
    """A layer's name without what trainers put before it."""
    for start in STARTS:
        layer = layer.removeprefix(start)
    return layer


def _key(layer: str) -> str:
    """A layer's name as kohya writes it, in which dots and underscores are one."""
    return _bare(layer).replace(".", "_")


def _known(model: Backbone) -> list[str]:
    return [name for name, module in model.denoiser.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def _targets(model: Backbone) -> dict[str, list[_Target]]:
    """The layers of a denoiser by the names that a file may have for them, diffusers' or the published ones."""
    found: dict[str, list[_Target]] = {}
    stacks: dict[str, dict[int, str]] = {}
    for module in _known(model):
        place = published.place(model.family, module)
        if place is not None and len(place.heights) > 1:
            stacks.setdefault(place.layer, {})[place.part] = module
        elif place is not None:
            found[_key(place.layer)] = [_Target(module)]
    for layer, parts in stacks.items():
        start = 0
        for _, module in sorted(parts.items()):
            height = quantized.shape(model.denoiser.get_submodule(module))[0]
            found.setdefault(_key(layer), []).append(_Target(module, start, height))
            start += height
    return found | {_key(module): [_Target(module)] for module in _known(model)}


def _check_shape(layer: str, targets: list[_Target], a: Tensor, b: Tensor, denoiser: nn.Module, path: Path) -> None:
    shapes = [quantized.shape(denoiser.get_submodule(target.module)) for target in targets]
    rows, columns = sum(shape[0] for shape in shapes), list(shapes[0][1:])
    if len(b) != rows or list(a.shape[1:]) != columns:
        raise ValueError(
            f"{path}: layer '{layer}' maps {list(a.shape[1:])} to {len(b)}, in this {type(denoiser).__name__} it maps "
            f"{columns} to {rows}; use the base model that the LoRA was trained on"
        )
