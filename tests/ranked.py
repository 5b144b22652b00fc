"""Work that ranks, which are processes of their own, find by its name: ways to end."""

import os
import signal
import time
from pathlib import Path

from versat2i.work import ranks


def told(number: int) -> tuple[str | None, int]:
    """The GPU that a rank sees, and its process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


def dies(number: int, log: Path) -> None:
    """Rank 1 dies, the others wait for it for ever."""
    (log / str(os.getpid())).touch()
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def fails(number: int) -> str:
    """Rank 1 says why; rank 0 has only lost it."""
    if number == 1:
        raise MemoryError("rank 1 says why")
    raise ranks.Lost("rank 0 has lost another")


def leaves(number: int) -> str:
    if number:
        raise ranks.Left
    return "done"
