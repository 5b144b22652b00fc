"""A resumable scratch store: finished pieces of work under the hash of everything they depend on.

A piece is a folder of files. It is made under a temporary name, checksummed, flushed to disk and
renamed, so it is either whole or not there. It is found again only under the same fingerprint and
only if its checksums still hold. Deleting the store costs time, never correctness.
"""

import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from versat2i.work import fingerprint as fingerprints

_CHECKSUMS = "checksums.json"
_LONGEST_WORK = 7 * 24 * 3600  # seconds; what is older and unfinished, a killed process has left


def fingerprint(modules: Iterable[str], **inputs: Any) -> str:
    """Hash of a piece of work: its inputs, the environment's versions and the code that makes it.

    Args:
        modules: the modules whose code, with all they import from this project, makes the piece.
        inputs: whatever else its bytes depend on, as JSON values.
    """
    environment = fingerprints.ROOT / "environment.json"
    whole = {
        "inputs": inputs,
        "environment": json.loads(environment.read_text()) if environment.exists() else {},
        "code": [fingerprints.digest(module) for module in sorted(set(modules))],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` once the block ends without an error.

    Until then the old one stays as it is; at no time is there half of either.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_unfinished(folder)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        _put_in_place(partial, folder)
    finally:
        remove(partial)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename a folder; what was there before is deleted once that is done, or put back."""
    old = partial.with_name(f"{partial.name}.old")
    if os.path.lexists(folder):
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if os.path.lexists(old):
            old.rename(folder)
        raise
    remove(old)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once the block ends without an error.

    Whoever shares the old one by a hard link (DVC's cache may) keeps it as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget_unfinished(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there and can be deleted."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _forget_unfinished(path: Path) -> None:
    """Delete what processes that were killed long ago have left beside a file or folder in the making."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(FileNotFoundError):  # another process may be deleting it too
            if time.time() - left.lstat().st_mtime > _LONGEST_WORK:
                remove(left)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise ValueError(f"{folder}: there is no such folder, or it is empty")
    lines = [f"{path.relative_to(folder).as_posix()} {file_hash(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sums(piece: Path, key: str) -> dict[str, Any]:
    """Checksums of a piece's files, and its key, lest it is taken for another one that it was renamed to."""
    return {"key": key, "files": {name: file_hash(piece / name) for name in _files(piece) if name != _CHECKSUMS}}


def _is_whole(piece: Path) -> bool:
    """Whether a piece holds the files that its checksums say, and nothing else: no link leads out of it."""
    sums = piece / _CHECKSUMS
    try:
        if piece.is_symlink() or not sums.is_file() or any(path.is_symlink() for path in piece.rglob("*")):
            return False
        return json.loads(sums.read_text()) == _sums(piece, piece.name)
    except (OSError, ValueError, RecursionError):
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def home() -> Path:
    """Where all stores lie: `VERSAT2I_WORK`, else `.work` in the current folder."""
    return Path(os.environ.get("VERSAT2I_WORK", ".work"))


class Store:
    """The pieces of one stage.

    Args:
        stage: a name for the kind of work.
        root: where stores lie; None: `home`.
    """

    def __init__(self, stage: str, root: Path | None = None) -> None:
        self.folder = (root or home()) / stage

    def find(self, key: str) -> Path | None:
        """The folder of a finished piece, or None if there is none or it is damaged."""
        folder = self.folder / key
        if _is_whole(folder):
            return folder
        if os.path.lexists(folder):
            remove(folder)
        return None

    def make(self, key: str, write: Callable[[Path], None]) -> Path:
        """Make a piece: `write` fills the folder it is given.

        If someone else finished the same piece meanwhile, theirs is kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _forget_unfinished(self.folder / key)
        partial = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=self.folder))
        try:
            write(partial)
            sums = _sums(partial, key)
            (partial / _CHECKSUMS).write_text(json.dumps(sums))
            for name in [*sums["files"], _CHECKSUMS, "."]:
                _sync(partial / name)
            partial.chmod(0o755)
            try:
                partial.rename(self.folder / key)
            except OSError:
                if self.find(key) is None:
                    partial.rename(self.folder / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return self.folder / key

    def drop(self, key: str) -> None:
        """Forget a piece."""
        shutil.rmtree(self.folder / key, ignore_errors=True)


def sizes() -> dict[str, tuple[int, int]]:
    """Pieces and bytes of each stage's store, by name."""
    folders = sorted(path for path in home().glob("*") if path.is_dir())
    return {folder.name: (len(list(folder.iterdir())), _bytes(folder)) for folder in folders}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def prune(stages: list[str]) -> None:
    """Delete the stores of stages."""
    for stage in stages:
        shutil.rmtree(home() / stage)


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
