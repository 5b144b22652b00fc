"""A resumable scratch store: finished pieces of work under the hash of everything they depend on.

A piece is a folder of files. It is made under a temporary name, checksummed, flushed to disk and
renamed, so it is either whole or not there. It is found again only under the same fingerprint and
only if its checksums still hold. Deleting the store costs time, never correctness.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from versat2i.work import files, places

_CHECKSUMS = "checksums.json"
KINDS = ("generate", "score", "train_lora", "mix", "evaluate", "replies", "errors", "tensorboard")
"""What folders below `home` are called that this package makes, before an ``@``; none else may be deleted."""


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sums(piece: Path, key: str) -> dict[str, Any]:
    """Checksums of a piece's files and its key; the key tells a piece that was renamed from the one it replaces."""
    return {"key": key, "files": {name: files.file_hash(piece / name) for name in _files(piece) if name != _CHECKSUMS}}


def _is_whole(piece: Path) -> bool:
    """Whether a piece holds the files that its checksums say, and nothing else: no link leads out of it."""
    sums = piece / _CHECKSUMS
    try:
        if piece.is_symlink() or not sums.is_file() or any(path.is_symlink() for path in piece.rglob("*")):
            return False
        return json.loads(sums.read_text()) == _sums(piece, piece.name)
    except (OSError, ValueError, RecursionError):
        return False


def _is_sent(piece: Path, key: str) -> bool:
    """Whether a piece under another name holds the files that its checksums say."""
    try:
        return json.loads((piece / _CHECKSUMS).read_text()) == _sums(piece, key)
    except (OSError, ValueError, RecursionError):
        return False


class NotMade(LookupError):
    """A piece is asked for that the store has not, while nothing may be made: `finding`."""


_finding = False  # whether `Store.find` raises `NotMade`
_noted: list[tuple[str, str]] | None = None  # stage and key of each piece, while `noting`


@contextmanager
def finding() -> Iterator[None]:
    """Within the block a worker finds its finished pieces, or raises `NotMade` before it begins to make one."""
    global _finding
    before, _finding = _finding, True
    try:
        yield
    finally:
        _finding = before


@contextmanager
def noting() -> Iterator[list[tuple[str, str]]]:
    """Yield a list that gets stage and key of every piece that is found or made within the block."""
    global _noted
    before, _noted = _noted, []
    try:
        yield _noted
    finally:
        _noted = before


def _note(stage: str, key: str) -> None:
    if _noted is not None:
        _noted.append((stage, key))


class Store:
    """The pieces of one stage.

    Args:
        stage: a name for the kind of work.
        root: where stores lie; None: `home`.
    """

    def __init__(self, stage: str, root: Path | None = None) -> None:
        self.folder = (root or places.home()) / stage

    def find(self, key: str) -> Path | None:
        """The folder of a finished piece, or None if there is none or it is damaged."""
        folder = self.folder / key
        if os.path.lexists(folder):  # asked first: what another process puts there meanwhile is not damaged
            if _is_whole(folder):
                _note(self.folder.name, key)
                return folder
            files.remove(folder)
        if _finding:
            raise NotMade(f"{folder}: is not made yet")
        return None

    def make(self, key: str, write: Callable[[Path], None]) -> Path:
        """Make a piece: `write` fills the folder it is given.

        If someone else finished the same piece meanwhile, theirs is kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        files.forget_unfinished(self.folder / key)
        partial = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=self.folder))
        try:
            with files.naming(self.folder / key):
                write(partial)
            sums = _sums(partial, key)
            (partial / _CHECKSUMS).write_text(json.dumps(sums))
            for name in [*sums["files"], _CHECKSUMS, "."]:
                files.sync(partial / name)
            partial.chmod(0o755)
            try:
                partial.rename(self.folder / key)
            except OSError:
                if self.find(key) is None:
                    partial.rename(self.folder / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _note(self.folder.name, key)
        return self.folder / key

    def receive(self, key: str, sent: dict[str, bytes]) -> Path:
        """Keep a piece that another machine made.

        Args:
            key: the piece's.
            sent: each file's name and bytes, its checksums among them.

        Raises:
            ValueError: the bytes are not those that were checksummed where the piece was made.
        """

        def write(out: Path) -> None:
            for name, data in sent.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(data)
            if not _is_sent(out, key):
                raise ValueError(
                    f"{self.folder / key}: its bytes changed on the way from another machine. Run again to make it anew"
                )

        found = self.folder / key
        return found if _is_whole(found) else self.make(key, write)

    def drop(self, key: str) -> None:
        """Forget a piece."""
        shutil.rmtree(self.folder / key, ignore_errors=True)


def sizes() -> dict[str, tuple[int, int]]:
    """Count pieces and bytes of each stage's store, by name; other folders of a shared disk are left out."""
    own = (path for path in places.home().glob("*") if path.name.partition("@")[0] in KINDS)
    folders = sorted(path for path in own if path.is_dir() and not path.is_symlink())
    return {folder.name: (len(list(folder.iterdir())), _bytes(folder)) for folder in folders}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def prune(stages: list[str]) -> None:
    """Delete the stores of stages."""
    for stage in stages:
        shutil.rmtree(places.home() / stage)


def assemble(piece: Path, out: Path) -> None:
    """Put the files of a piece into a folder, by hard link where the disk allows it."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(piece.iterdir()):
        if path.name == _CHECKSUMS:
            continue
        try:
            os.link(path, out / path.name)
        except OSError:
            shutil.copyfile(path, out / path.name)
