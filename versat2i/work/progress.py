"""Progress of long work: a bar on a terminal, a line a piece elsewhere (logs, CI)."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


class Progress:
    """Counts pieces of work.

    Args:
        label: what is counted.
        total: how many there will be.
        done: how many were done before.
        every: pieces between two lines where there is no terminal.
    """

    def __init__(self, label: str, total: int, done: int = 0, every: int = 1) -> None:
        self.label, self.total, self.done, self.every = label, total, done, every
        terminal = sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, desc=label, dynamic_ncols=True) if terminal else None

    def update(self, note: str = "") -> None:
        """One more piece is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()
        elif self.done % self.every == 0 or self.done == self.total:
            print(f"{self.label}: {self.done}/{self.total} {note}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def track(items: Iterable[Item], label: str, total: int | None = None, every: int = 1) -> Iterator[Item]:
    """Pass items through, counting each once it is worked on; `every` as for `Progress`."""
    if total is None:
        total = len(items) if isinstance(items, Sized) else 0
    progress = Progress(label, total, every=every)
    try:
        for item in items:
            yield item
            progress.update()
    finally:
        progress.close()
