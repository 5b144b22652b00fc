"""LoRA adapters: attach to a denoiser, read back, save as diffusers does, load."""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from versat2i.adapters import peft_config
from versat2i.formats import tensors
from versat2i.models.diffusion import names
from versat2i.settings.complaints import hint

FILE = "pytorch_lora_weights.safetensors"
DENOISERS = ("unet", "transformer")  # as pipelines call them

_CONFIG = "lora_adapter_metadata"  # where diffusers looks for rank and alpha


@dataclass(frozen=True)
class Adapter:
    """A LoRA: each adapted layer's update is ``scale * B A`` with ``scale = alpha / rank``.

    Attributes:
        name: what it is called in a mixture, an aspect's name for an expert.
        down: A by module name of the denoiser, ``[rank, d_in]``; of a convolution ``[rank, d_in, k, k]``.
        up: B by module name, ``[d_out, rank]``; of a convolution ``[d_out, rank, 1, 1]``.
        alpha: the numerator of the scale.
        metadata: what it was made from: base model, revision, aspect.
    """

    name: str
    down: dict[str, Tensor]
    up: dict[str, Tensor]
    alpha: float
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return next(iter(self.down.values())).shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


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
    return _from_state(name, copies, alpha, metadata)


def _from_state(name: str, state: dict[str, Tensor], alpha: float, metadata: dict[str, str]) -> Adapter:
    parts: dict[str, dict[str, Tensor]] = {}
    for which in ("lora_A", "lora_B"):
        ending = f".{which}.weight"
        parts[which] = {k.removesuffix(ending): v for k, v in state.items() if k.endswith(ending)}
    return Adapter(name, parts["lora_A"], parts["lora_B"], alpha, metadata)


def folded(adapter: Adapter) -> Adapter:
    """The same update at scale 1: ``alpha / rank`` becomes part of B, alpha the rank.

    So that tools that read no alpha draw the same (ComfyUI does not look for it in a file in diffusers' names).
    """
    up = {module: adapter.scale * weight for module, weight in adapter.up.items()}
    return replace(adapter, up=up, alpha=float(adapter.rank))


def write(adapter: Adapter, folder: Path) -> None:
    """Save as ``pytorch_lora_weights.safetensors``, which ``pipe.load_lora_weights(folder)`` reads."""
    tensors.write(file_state(adapter), folder / FILE, file_metadata(adapter))


def file_state(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors as diffusers names them in a file, e.g. ``unet.<module>.lora_A.weight`` and ``.lora_B.weight``."""
    part = names.denoiser_of(adapter.down)
    down = {f"{part}.{module}.lora_A.weight": weight for module, weight in adapter.down.items()}
    return down | {f"{part}.{module}.lora_B.weight": weight for module, weight in adapter.up.items()}


def file_metadata(adapter: Adapter) -> dict[str, str]:
    """Metadata of a LoRA file: what the adapter was made from, and rank and alpha where diffusers looks."""
    part = names.denoiser_of(adapter.down)
    config = {
        f"{part}.r": adapter.rank,
        f"{part}.lora_alpha": adapter.alpha,
        f"{part}.target_modules": sorted(adapter.down),
    }
    return {**adapter.metadata, "format": "pt", _CONFIG: json.dumps(config, sort_keys=True)}


def read(folder: Path, name: str) -> Adapter:
    """Read an adapter that `write` saved, or another plain LoRA of a denoiser with diffusers' metadata.

    Raises:
        ValueError: the file is missing, damaged, or holds anything but a plain LoRA of a denoiser.
    """
    path = folder / FILE
    if not path.exists() and (others := sorted(folder.glob("*.safetensors"))):
        raise ValueError(f"{path}: there is no such file. Rename {others[0].name} to {FILE} if it is a LoRA")
    state, metadata = tensors.read(path)
    part = next((part for part in DENOISERS if any(key.startswith(f"{part}.") for key in state)), DENOISERS[0])
    config = _config(metadata.pop(_CONFIG, ""), part, path)
    made_from = {k: v for k, v in sorted(metadata.items()) if k != "format"}
    return plain(name, state, f"{part}.", config, made_from, path)


def plain(
    name: str, state: dict[str, Tensor], prefix: str, config: dict[str, Any], made_from: dict[str, str], path: Path
) -> Adapter:
    """A plain LoRA of a denoiser from the tensors of a file.

    Args:
        name: of the adapter.
        state: ``<prefix><module>.lora_A.weight`` and ``.lora_B.weight``.
        prefix: before the names of the denoiser's modules.
        config: peft's settings, with `lora_alpha`.
        made_from: the adapter's metadata.
        path: of the file.

    Raises:
        ValueError: the file holds anything else.
    """
    adapter = _from_state(
        name,
        {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)},
        config["lora_alpha"],
        made_from,
    )
    if not adapter.down or adapter.down.keys() != adapter.up.keys():
        raise ValueError(
            f"{path}: expected a lora_A and a lora_B for each adapted layer of the denoiser, in diffusers' names (it "
            f"has {min(state, default='no tensor')})"
        )
    peft_config.check_plain(config, path)
    wanted = {f"{prefix}{module}.lora_{side}.weight" for module in adapter.down for side in "AB"}
    if more := sorted(state.keys() - wanted):
        raise ValueError(
            f"{path}: holds {more[0]}{f' and {len(more) - 1} more' * (len(more) > 1)}, no lora_A or lora_B of the "
            "denoiser: only plain LoRAs of the denoiser can be mixed and exported. Train it without"
        )
    for module, down in adapter.down.items():
        if down.ndim not in (2, 4) or adapter.up[module].ndim != down.ndim:
            raise ValueError(f"{path}: layer '{module}' is {down.ndim}-dimensional. Run `dvc repro train_lora`")
    try:
        down, up = peft_config.uniform(adapter.down, adapter.up, config, path)
    except (TypeError, AttributeError, re.error, OverflowError) as error:
        raise ValueError(f"{path}: {_CONFIG} in its metadata is no config of peft ({error})") from None
    return replace(adapter, down=down, up=up)


def _config(text: str, part: str, path: Path) -> dict[str, Any]:
    """peft's settings of a part's LoRA, with its alpha as a number."""
    try:
        whole = json.loads(text)
        config = {key.removeprefix(f"{part}."): value for key, value in whole.items() if key.startswith(f"{part}.")}
        config["lora_alpha"] = float(config["lora_alpha"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{path}: has no LoRA alpha in its metadata; expected a file written by train_lora") from None
    if not 0 < config["lora_alpha"] < float("inf"):
        alpha = config["lora_alpha"]
        raise ValueError(f"{path}: its LoRA alpha is {alpha}, expected a number above 0. Run `dvc repro train_lora`")
    return config


def check_layers(adapter: Adapter, denoiser: nn.Module, folder: Path) -> None:
    """Refuse an adapter of layers that a denoiser does not have: diffusers would load the rest, or nothing.

    Raises:
        ValueError: a layer is missing; says which one is called nearly so.
    """
    known = [name for name, _ in denoiser.named_modules()]
    missing = sorted(adapter.down.keys() - set(known))
    if missing:
        raise ValueError(
            f"{folder / FILE}: {len(missing)} of its {len(adapter.down)} layers are not in this "
            f"{type(denoiser).__name__}, such as '{missing[0]}'; use the base model it was trained on"
            f"{hint(missing[0], known)}"
        )


def check_base(made_from: dict[str, str], model: dict[str, str], folder: Path) -> None:
    """Refuse what was made for another base model.

    Args:
        made_from: metadata of an adapter or a mixture.
        model: the base model's identity.
        folder: where the adapter or mixture lies.

    Raises:
        ValueError: the base's revision is not the one in the metadata.
    """
    made_for, found = made_from.get("revision"), model["revision"]
    if made_for != found:
        raise ValueError(
            f"{folder}: made for {made_from.get('base_model')} at revision {made_for}, but the model in "
            f"params.yaml is {model['base_model']} at {found}. Train it again or change `model`"
        )
