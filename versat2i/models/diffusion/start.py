"""Earlier rounds in a base model: LoRAs that are fused into its denoiser when it is loaded."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from versat2i.models.diffusion import lora_files
from versat2i.models.diffusion.lora_files import START, Adapter
from versat2i.work import identity as identities

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
DOWN, UP = "start_down", "start_up"  # buffers of a quantised layer
LENGTH = 16  # characters of a hash


def identity(folders: Iterable[str]) -> dict[str, str]:
    """What tells a base with these rounds in it from one with others, ``folder@hash`` of each in order.

    Raises:
        ValueError: a folder is missing.
    """
    return {START: " ".join(f"{folder}@{_hash(folder)}" for folder in folders)}


def _hash(folder: str) -> str:
    if not Path(folder).is_dir():
        raise ValueError(
            f"model.start: there is no folder {folder}. Run `dvc pull {folder}.dvc`, or leave it out of `start`"
        )
    return identities.of(Path(folder))[:LENGTH]


def fuse(denoiser: nn.Module, folders: Iterable[str], base: dict[str, str]) -> None:
    """Add LoRAs to a denoiser's weights, ``W + sum_i s_i B_i A_i``, layer by layer in float32, then in W's dtype.

    A quantised layer keeps its weights: the LoRAs run beside it, frozen.

    Args:
        denoiser: of the base model, on the CPU, no adapter in it.
        folders: of the LoRAs, in the order in which they were made.
        base: identity of the model with them.

    Raises:
        ValueError: one is missing or damaged, was made for another base, or stands in the wrong order.
    """
    adapters = _read(list(folders), base)
    for adapter in adapters:
        lora_files.check_layers(adapter, denoiser, Path(adapter.name))
    for module in sorted({module for adapter in adapters for module in adapter.down}):
        layer: Any = denoiser.get_submodule(module)
        parts = [adapter for adapter in adapters if module in adapter.down]
        if not _is_plain(layer):
            _keep(layer, parts, module)
            continue
        whole = layer.weight.detach().float()
        for adapter in parts:
            update = _update(adapter, module)
            _check_shape(update.shape, whole.shape, adapter, module)
            whole = whole + update
        layer.weight.data = whole.to(layer.weight.dtype)


def _check_shape(found: Sequence[int], expected: Sequence[int], adapter: Adapter, module: str) -> None:
    if tuple(found) != tuple(expected):
        raise ValueError(
            f"model.start: {adapter.name}: layer '{module}' is {list(found)}, in this base {list(expected)}: it was "
            "made for another base model"
        )


def _read(folders: list[str], base: dict[str, str]) -> list[Adapter]:
    """The LoRAs, each made for the base with those before it."""
    found = []
    for number, folder in enumerate(folders):
        adapter = lora_files.read(Path(folder), folder)
        lora_files.check_base(adapter.metadata | {START: base[START]}, base, Path(folder))
        before = identity(folders[:number])
        if lora_files.hashes(adapter.metadata) != lora_files.hashes(before):
            made_on = ", ".join(name for name, _ in lora_files.rounds(adapter.metadata)) or "the first base"
            after = ", ".join(folders[:number]) or "the first base"
            raise ValueError(
                f"model.start: {folder} was made on {made_on}, but stands after {after}: write the rounds in the "
                "order in which they were made, as they were then"
            )
        found.append(adapter)
    return found


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer has weights that can be added to: not of a quantised kind, whatever library it is of."""
    weight = getattr(layer, "weight", None)
    plain = isinstance(weight, Tensor) and type(weight.data) is Tensor and weight.dtype in FLOATS
    return plain and isinstance(layer, nn.Linear | nn.Conv2d)


def _update(adapter: Adapter, module: str) -> Tensor:
    """``s B A`` in float32, of the shape of the weight: ``[d_out, d_in]``, of a convolution ``[d_out, d_in, k, k]``."""
    down, up = adapter.down[module].float(), adapter.up[module].float()
    return adapter.scale * (up.flatten(1) @ down.flatten(1)).view(len(up), *down.shape[1:])


def _keep(layer: Any, adapters: list[Adapter], module: str) -> None:
    """Have a quantised linear layer answer ``W x + sum_i s_i B_i A_i x``, the LoRAs in float32."""
    if any(adapter.down[module].ndim > 2 for adapter in adapters):
        raise ValueError(
            f"model.start: layer '{module}' is a {type(layer).__name__}, in which no LoRA of a convolution can be kept"
        )
    for adapter in adapters:
        size = [len(adapter.up[module]), adapter.down[module].shape[1]]
        _check_shape(size, [layer.out_features, layer.in_features], adapter, module)
    down = torch.cat([adapter.down[module].float() for adapter in adapters])
    up = torch.cat([adapter.scale * adapter.up[module].float() for adapter in adapters], dim=1)
    for name, value in ((DOWN, down), (UP, up)):
        layer.register_buffer(name, value, persistent=False)
    layer.register_forward_hook(_added)


def _added(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    update = F.linear(F.linear(inputs[0].float(), getattr(layer, DOWN)), getattr(layer, UP))
    return output + update.to(output.dtype)
