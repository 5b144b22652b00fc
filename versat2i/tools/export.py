"""Adapters as other tools read them: one diffusers file and one kohya file each."""

from pathlib import Path

import torch
import yaml
from diffusers.utils import convert_state_dict_to_kohya
from torch import Tensor

from versat2i.adapters import lora, mixture_files
from versat2i.adapters.lora import Adapter
from versat2i.formats import tensors
from versat2i.models.diffusion import names

KOHYA_VERSIONS = {768: "sd_v1", 1024: "sd_v2", 2048: "sdxl_base_v1-0"}  # by the width of the text embeddings
LOCK = Path("dvc.lock")


def read(folder: Path) -> Adapter:
    """An adapter's folder as one ordinary LoRA; a mixture is collapsed (see `mixture.collapse`).

    Raises:
        ValueError: there is no adapter, or it is damaged.
    """
    if not mixture_files.holds(folder):
        return lora.read(folder, folder.name)
    return mixture_files.collapsed(folder, folder.name)


def export(folder: Path, out: Path) -> list[Path]:
    """Write ``<name>.safetensors`` for diffusers and ``<name>.kohya.safetensors`` for ComfyUI and A1111.

    There are no kohya names for the layers of a transformer (SD 3): those tools read diffusers' file.

    Args:
        folder: of an expert, a merge or a mixture.
        out: the folder to write to; made if it is not there.

    Returns:
        the files, that for diffusers first.

    Raises:
        ValueError: there is no adapter in the folder, or it is damaged.
    """
    adapter = read(folder)
    metadata = labels(adapter, folder)
    plain, kohya = (out / f"{folder.name}{ending}" for ending in (".safetensors", ".kohya.safetensors"))
    tensors.write(lora.file_state(adapter), plain, lora.file_metadata(adapter) | metadata)
    if names.denoiser_of(adapter.down) != "unet":
        return [plain]
    tensors.write(kohya_state(adapter), kohya, metadata)
    return [plain, kohya]


def kohya_state(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors under kohya's names, ``lora_unet_<layer>.lora_down.weight`` and so on.

    The names are those of diffusers' own converter, which takes alpha to be the rank: the true one
    is put in its place.
    """
    state = convert_state_dict_to_kohya(lora.file_state(adapter))
    alpha = torch.tensor(adapter.alpha)
    return {name: alpha.clone() if name.endswith(".alpha") else value for name, value in state.items()}


def labels(adapter: Adapter, folder: Path) -> dict[str, str]:
    """What the tools show of a LoRA: kohya's ``ss_`` keys, the base model and its revision, DVC's hash."""
    found = {
        **adapter.metadata,
        "aspect": folder.name,
        "dvc_hash": dvc_hash(folder),
        "ss_base_model_version": _base_version(adapter),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.rank),
        "ss_network_alpha": f"{adapter.alpha:g}",
        "ss_output_name": folder.name,
    }
    return {name: value for name, value in found.items() if value}


def _base_version(adapter: Adapter) -> str | None:
    """kohya's word for the family, told by the width of the text; the base model's name for any other."""
    widths = {down.shape[1] for module, down in adapter.down.items() if module.endswith("attn2.to_k")}
    return KOHYA_VERSIONS.get(max(widths, default=0), adapter.metadata.get("base_model"))


def dvc_hash(folder: Path, lock: Path = LOCK) -> str | None:
    """The hash under which DVC keeps a folder, from dvc.lock; None if it does not know it.

    Raises:
        ValueError: dvc.lock cannot be read.
    """
    if not lock.exists():
        return None
    try:
        stages = (yaml.safe_load(lock.read_text()) or {})["stages"].values()
        outs = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{lock}: not DVC's lock file ({' '.join(str(error).split())}). `git checkout {lock}`"
        ) from None
    return outs.get(folder.as_posix())
