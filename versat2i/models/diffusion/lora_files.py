"""A plain LoRA of a denoiser as a file: read, checked, written as diffusers does."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from versat2i.formats import tensors
from versat2i.models.diffusion import names, peft_config, quantized
from versat2i.settings.complaints import hint

FILE = "pytorch_lora_weights.safetensors"
DENOISERS = ("unet", "transformer")  # as pipelines call them

START = "start"  # in the metadata of what was trained on a base with earlier rounds in it: folder@hash of each

_ROUND = re.compile(r"(.+?)@([0-9a-f]{16})(?: |$)")
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


def from_state(name: str, state: dict[str, Tensor], alpha: float, metadata: dict[str, str]) -> Adapter:
    """The LoRA of tensors ``<module>.lora_A.weight`` and ``<module>.lora_B.weight``."""
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
    adapter = from_state(
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
    """Refuse what was made for another base model, or for one with other rounds in it.

    Args:
        made_from: metadata of an adapter or a mixture.
        model: the base model's identity.
        folder: where the adapter or mixture lies.

    Raises:
        ValueError: the base's revision or the earlier rounds are not those in the metadata.
    """
    made_for, found = made_from.get("revision"), model["revision"]
    if made_for != found:
        raise ValueError(
            f"{folder}: made for {made_from.get('base_model')} at revision {made_for}, but the model in "
            f"params.yaml is {model['base_model']} at {found}. Train it again or change `model`"
        )
    bits, here = (each.get(quantized.KEY, "null") for each in (made_from, model))
    if bits != here:
        raise ValueError(
            f"{folder}: made for a base with quantize: {bits}, but here model.quantize is {here}. Train it again or "
            "change `model.quantize`"
        )
    if hashes(made_from) != hashes(model):
        raise ValueError(
            f"{folder}: made for a base with {made_from.get(START, 'no earlier round')} in it, but here the base has "
            f"{model.get(START, 'none')}. Train it again or change `model.start`"
        )


def hashes(metadata: dict[str, str]) -> list[str]:
    """Hashes of the earlier rounds that a base had in it, in order; where they lie does not matter."""
    return [digest for _, digest in rounds(metadata)]


def rounds(metadata: dict[str, str]) -> list[tuple[str, str]]:
    """Folder and hash of each earlier round that a base had in it, in order."""
    return _ROUND.findall(metadata.get(START, ""))
