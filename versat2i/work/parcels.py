"""Files as bytes, and results whose paths are right on another machine."""

import io
import pickle
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from versat2i.work import files, places, store

Piece = tuple[str, str, dict[str, bytes]]  # its stage, its key, and each file's name and bytes


def pack(path: Path) -> dict[str, bytes]:
    """A file, or all files below a folder: each one's path relative to `path` (``.`` for a file) and its bytes."""
    if path.is_file():
        return {".": path.read_bytes()}
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files.below(path)}


def unpack(sent: dict[str, bytes], path: Path) -> None:
    """Write what `pack` read, in place of what is there."""
    files.remove(path)
    for name, data in sent.items():
        with files.new_file(path / name) as partial:
            partial.write_bytes(data)


def pieces(noted: Iterable[tuple[str, str]]) -> list[Piece]:
    """Pieces of this machine's store, to be sent; `store.noting` lists them."""
    return [(stage, key, pack(store.Store(stage).folder / key)) for stage, key in dict.fromkeys(noted)]


def receive(sent: Iterable[Piece]) -> None:
    """Put pieces into this machine's store.

    Raises:
        ValueError: one was damaged on the way.
    """
    for stage, key, content in sent:
        store.Store(stage).receive(key, content)


def shards(unit: Iterable[Path]) -> list[Path]:
    """The files of shards: each a tar, with its index beside it."""
    return [file for path in unit for file in (path, path.with_suffix(".parquet"))]


def _at_home(*parts: str) -> Path:
    return places.home().joinpath(*parts)


class _Pickler(pickle.Pickler):
    """Writes a path in the work store as one of the reader's store."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, PurePath) and thing.is_relative_to(places.home()):
            return _at_home, thing.relative_to(places.home()).parts
        return NotImplemented


def dumps(thing: Any) -> bytes:
    """Pickle a task or a result; a path in this machine's work store is one in the store of whoever loads it."""
    data = io.BytesIO()
    _Pickler(data, pickle.HIGHEST_PROTOCOL).dump(thing)
    return data.getvalue()
