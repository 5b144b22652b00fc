"""LoRA adapters: attach to a denoiser, take out of it; `models.diffusion.lora_files` reads and writes them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn

from versat2i.models.diffusion import lora_files, names
from versat2i.models.diffusion.lora_files import (
    DENOISERS,
    FILE,
    Adapter,
    check_base,
    check_layers,
    file_metadata,
    file_state,
    folded,
    plain,
    read,
    write,
)
from versat2i.settings.complaints import hint

__all__ = [
    "DENOISERS",
    "FILE",
    "Adapter",
    "attach",
    "check_base",
    "check_layers",
    "detached",
    "extract",
    "file_metadata",
    "file_state",
    "folded",
    "insert",
    "plain",
    "read",
    "write",
]


def attach(denoiser: nn.Module, name: str, rank: int, alpha: float, targets: str, seed: int) -> list[nn.Parameter]:
    """Add a new LoRA to a frozen denoiser: A random, B zero, so that nothing changes yet.

    The global random state is left as it was.

    Args:
        denoiser: of the base model.
        name: of the adapter.
        rank: of each layer's update.
        alpha: the numerator of its scale.
        targets: the kinds of layers, of `names.Layers.kinds`, with + between them.
        seed: of A.

    Returns:
        the parameters to train, in float32.

    Raises:
        ValueError: the denoiser has no layer of one of these kinds.
    """
    denoiser.requires_grad_(False)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=_targeted(denoiser, targets), init_lora_weights="gaussian"
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs too
        denoiser.add_adapter(config, adapter_name=name)
    parameters = [p for p in denoiser.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    return parameters


def insert(denoiser: nn.Module, adapter: Adapter) -> list[nn.Parameter]:
    """Put a LoRA with its weights into a frozen denoiser, beside those that are there; it alone is active then.

    The global random state is left as it was.

    Args:
        denoiser: of the base model.
        adapter: what to put in, under its own name.

    Returns:
        its parameters, in float32.
    """
    denoiser.requires_grad_(False)
    modules = sorted(adapter.down)
    config = LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=modules)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several are what is wanted
        denoiser.add_adapter(config, adapter_name=adapter.name)
    parameters = []
    for module in modules:
        layer: Any = denoiser.get_submodule(module)
        for part, weight in ((layer.lora_A, adapter.down[module]), (layer.lora_B, adapter.up[module])):
            parameter = part[adapter.name].weight
            parameter.data = weight.to(parameter.device, torch.float32, copy=True)
            parameters.append(parameter)
    denoiser.set_adapter(adapter.name)
    return parameters


def _targeted(denoiser: nn.Module, targets: str) -> list[str]:
    """The layers of some kinds."""
    layers = names.of(denoiser)
    plain = [name for name, module in denoiser.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    found = {kind: layers.ending(plain, ends) for kind, ends in layers.kinds.items()}
    there = [kind for kind, modules in found.items() if modules]
    kinds = targets.split("+")
    for kind in kinds:
        if kind not in there:
            raise ValueError(
                f"train_lora: targets: {targets}: no layer of this {type(denoiser).__name__} is of '{kind}' (it has "
                f"{', '.join(there) or 'none of these'}); name only kinds that it has{hint(kind, there)}"
            )
    return [module for kind in kinds for module in found[kind]]


@contextmanager
def detached(denoiser: nn.Module) -> Iterator[None]:
    """The denoiser as it is without its LoRA, while the context lasts."""
    denoiser.disable_adapters()
    try:
        yield
    finally:
        denoiser.enable_adapters()


def extract(denoiser: nn.Module, name: str, alpha: float, metadata: dict[str, str]) -> Adapter:
    """The named LoRA of a denoiser, copied out of it."""
    state = get_peft_model_state_dict(denoiser, adapter_name=name)
    copies = {key: value.detach().cpu().float().clone() for key, value in state.items()}
    return lora_files.from_state(name, copies, alpha, metadata)
