"""Compute the identity of a folder of weights: of base models, adapters, evaluators and language models alike."""

import os
from pathlib import Path

from versat2i.work import files

# weights for other programs than torch's, which no loader of this package reads
OTHERS = (".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".gguf", ".tflite", ".mlmodel")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf", ".mp4")
WORDS = (".md", ".rst", ".html")
NAMES = ("LICENSE", "LICENSE.txt", "NOTICE", "README", "README.txt", "Thumbs.db", "desktop.ini")  # of no loader


def of(folder: Path) -> str:
    """SHA-256 over the names and bytes of what a loader may read of a folder.

    Links are followed. Hidden files and folders (``.DS_Store``, the ``.cache`` that the hub's library writes), model
    cards, pictures, weights for other programs, and pickles beside safetensors of the same name are left out.

    Raises:
        ValueError: there is no such folder, or nothing of it is for a loader.
    """
    names = files.below(folder)
    there = {path.relative_to(folder).as_posix() for path in names}
    return files.folder_hash(folder, [path for path in names if _is_read(path.relative_to(folder), there)])


def broken(folder: Path) -> list[Path]:
    """Links of a folder, to what a loader may read, that lead to nothing; sorted.

    The hub's library keeps a snapshot as links to blobs: ``cp -a snapshots/...`` copies links alone.

    Raises:
        ValueError: a link leads to a folder that it lies in.
    """
    files.below(folder)  # refuses a circle
    inside = [Path(parent) / name for parent, _, names in os.walk(folder, followlinks=True) for name in names]
    links = {path.relative_to(folder): path for path in inside if path.is_symlink() and not path.exists()}
    hidden = {own for own in links if any(part.startswith(".") for part in own.parts)}
    return sorted(path for own, path in links.items() if own not in hidden and _is_read(own, set()))


def _is_read(path: Path, there: set[str]) -> bool:
    """Whether a loader may read a file.

    Args:
        path: relative to the model's folder.
        there: all files of the folder.
    """
    if path.name in NAMES or path.suffix.lower() in OTHERS + PICTURES + WORDS:
        return False
    if path.suffix != ".bin":
        return True
    name = path.stem.replace("pytorch_model", "model") if path.stem.startswith("pytorch_model") else path.stem
    return not {path.with_name(f"{stem}.safetensors").as_posix() for stem in (name, path.stem)} & there
