"""Interfere with the n-th thing that this process does to a file: as a kill would, a full disk, or a read-only one.

Python tells an audit hook of each file that is opened, renamed, linked or deleted before it happens, and a hook
may prevent it. So no code under test has to be known or changed.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


class Killed(BaseException):
    """The process is dead: nothing that it would still do to a file happens."""


FLUSH = "faults.flush"
TAKES_ROOM = ("open", "os.mkdir", "os.link", FLUSH)
CHANGES = ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.chmod", "os.truncate", "os.remove", "os.rmdir")

ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "broken once": errno.EIO}
WAYS = ("killed", *ERRORS)


class Interference:
    """What is done, counted, and what happens to it.

    Attributes:
        root: changes elsewhere do not count.
        at: the number of the change, from 0, that is interfered with; None: none.
        way: one of `WAYS`.
        count: changes so far.
        struck: whether there was a change to interfere with.
    """

    def __init__(self, root: Path, at: int | None, way: str) -> None:
        self.root, self.at, self.way, self.count = str(root), at, way, 0
        self.opened: str | None = None  # last for writing: what a kill leaves half written

    @property
    def struck(self) -> bool:
        return self.at is not None and self.count > self.at

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        path = _changed(event, arguments)
        if path is None or not path.startswith(self.root):
            return
        self.count += 1
        if self.at is None or self.count <= self.at:
            if event == "open":
                self.opened = path
            return
        if self.way == "killed":
            raise Killed
        lasting = self.way == "read-only" or (self.way == "full" and event in TAKES_ROOM)
        if lasting or self.count == self.at + 1:
            raise OSError(ERRORS[self.way], os.strerror(ERRORS[self.way]), path)

    def tear(self) -> None:
        """Leave of the file that was being written only its first half: the rest had not reached the disk."""
        if self.opened is not None and (torn := Path(self.opened)).is_file():
            os.truncate(torn, torn.stat().st_size // 2)


def _changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an event is about, if it changes a file."""
    if event == FLUSH:
        return arguments[0]
    path = arguments[0] if arguments else None
    if event == "open":
        _, mode, flags = arguments
        changes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)
    else:
        changes = event in CHANGES
    # a folder is deleted by names relative to it: taken as ours, since nobody else is at work
    return str(Path.cwd() / os.fsdecode(path)) if changes and isinstance(path, str | bytes | Path) else None


_current: Interference | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current is not None:
        _current.see(event, arguments)


sys.addaudithook(_hook)  # for ever: there is no way to remove one


@contextmanager
def interfering(root: Path, at: int | None = None, way: str = "killed") -> Iterator[Interference]:
    """Count what happens to files below a folder meanwhile, and interfere with one change."""
    global _current
    write = pq.write_table

    def write_table(table: Any, where: Any, **options: Any) -> None:
        if isinstance(where, str | Path):  # opened by C++, which tells nobody
            sys.audit("open", str(where), "wb", 0)
        write(table, where, **options)

    def flush(handle: int) -> None:
        sys.audit(FLUSH, str(Path(f"/proc/self/fd/{handle}").readlink()))

    it = Interference(root, at, way)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pq, "write_table", write_table)
        patch.setattr(os, "fsync", flush)
        _current = it
        try:
            yield it
        finally:
            _current = None
    if it.struck and way == "killed":
        it.tear()
