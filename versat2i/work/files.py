"""Files and folders that are whole or not there: written under a temporary name, flushed, renamed."""

import glob
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_WORK = 7 * 24 * 3600  # seconds; what is older and unfinished, a killed process has left


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the path being written to system errors without one, e.g. a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` once the block ends without an error.

    Until then the old one stays as it is; at no time is there half of either.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    forget_unfinished(folder)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with naming(folder):
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
    forget_unfinished(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        with naming(path):
            yield partial
            sync(partial)
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


def forget_unfinished(path: Path) -> None:
    """Delete what processes that were killed long ago have left beside a file or folder in the making."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(FileNotFoundError):  # another process may be deleting it too
            if time.time() - left.lstat().st_mtime > _LONGEST_WORK:
                remove(left)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def below(folder: Path) -> list[Path]:
    """All files below a folder, sorted; links are followed, hidden files and folders left out.

    Raises:
        ValueError: a link leads to a folder that it lies in.
    """
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [here / name for name in names if not name.startswith(".") and (here / name).is_file()]
        for link in (here / name for name in folders if (here / name).is_symlink()):
            if here.resolve().is_relative_to(link.resolve()):
                raise ValueError(f"{link}: links to {link.resolve()}, in which it lies itself. Remove the link")
    return sorted(found)


def linked(folder: Path) -> list[Path]:
    """Folders that links in a folder lead to, sorted, as they are called themselves."""
    below(folder)  # refuses a circle
    inside = [Path(parent) / name for parent, names, _ in os.walk(folder, followlinks=True) for name in names]
    return sorted({path.resolve() for path in inside if path.is_symlink()})


def folder_hash(folder: Path, files: list[Path] | None = None) -> str:
    """SHA-256 over the names and bytes of files in a folder.

    Args:
        folder: what the names are relative to.
        files: of it; None: all that are `below` it.
    """
    files = below(folder) if files is None else files
    if not files:
        raise ValueError(f"{folder}: there is no such folder, or it is empty")
    lines = [f"{path.relative_to(folder).as_posix()} {file_hash(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
