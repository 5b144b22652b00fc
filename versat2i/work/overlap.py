"""Work in threads beside the caller's own: a device computes in one thread while others encode, write or decode."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = min(os.cpu_count() or 1, 8)
"""Threads that encode or decode images: eight write over 100 images of 1024 px a second."""


def ahead(function: Callable[[Item], Result], items: Iterable[Item], most: int) -> Iterator[Result]:
    """Yield ``function(item)`` of each item in order, computed in threads before it is asked for.

    Items are taken in the caller's thread. An error comes in its place, after the results of the items before it.

    Args:
        function: must be safe to call in several threads at once.
        items: what it is called with.
        most: items taken whose results were not yet asked for.
    """
    source, waiting, more = iter(items), deque[Future[Result]](), True
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            while more or waiting:
                while more and len(waiting) < most:
                    try:
                        waiting.append(pool.submit(function, next(source)))
                    except StopIteration:
                        more = False
                    except Exception as error:  # in its place
                        waiting.append(Future())
                        waiting[-1].set_exception(error)
                        more = False
                if waiting:
                    yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True)
class _Ended:
    """What a consumer returned or raised."""

    result: Any
    error: BaseException | None


class _Abandoned(Exception):
    """Raised in a consumer when the items end by an error of the caller's."""


_READY, _LAST, _ABANDON = object(), object(), object()


class Handover(Generic[Item, Result]):
    """Hands items to a consumer in a thread, so that the caller makes an item while the one before is consumed.

    At most two items exist at a time: `put` waits until the consumer is done with the one before.

    A stop (Ctrl-C) is an exception in the caller's thread at any bytecode. Everything shared lies in `SimpleQueue`,
    whose calls are atomic; Python's locks and futures could be left locked, and the threads would wait for ever. For
    the same reason the thread does not keep the process from ending.

    Example:
        with Handover(consume) as handover:
            for item in items:
                handover.put(item)
        handover.result()

    Args:
        consume: called in the thread with an iterator over the items, once there is one; what it returns is the result.
    """

    def __init__(self, consume: Callable[[Iterator[Item]], Result]) -> None:
        self._given: SimpleQueue[Any] = SimpleQueue()
        self._told: SimpleQueue[Any] = SimpleQueue()
        self._ended: _Ended | None = None
        self._told.put(_READY)
        threading.Thread(target=self._run, args=(consume,), daemon=True).start()

    def _run(self, consume: Callable[[Iterator[Item]], Result]) -> None:
        items = self._items(self._given.get())
        try:
            self._told.put(_Ended(consume(items), None))
        except BaseException as error:  # of the thread, for the caller
            self._told.put(_Ended(None, error))

    def _items(self, item: Any) -> Iterator[Item]:
        while item is not _LAST:
            if item is _ABANDON:
                raise _Abandoned
            yield item
            item = None  # or it would be kept while the next one is waited for
            self._told.put(_READY)
            item = self._given.get()

    def _next(self) -> bool:
        """Wait until the consumer takes another item; False once it has ended."""
        if self._ended is None:
            told = self._told.get()
            if told is _READY:
                return True
            self._ended = told
        return False

    def put(self, item: Item) -> None:
        """Hand over an item, once the consumer is done with the one before.

        Raises:
            Whatever the consumer raised.
        """
        if not self._next():
            self.result()
            raise RuntimeError("the consumer ended before the items did")
        self._given.put(item)

    def result(self) -> Result:
        """Wait for what the consumer returns.

        Raises:
            Whatever the consumer raised.
        """
        self.wait()
        if self._ended is not None and self._ended.error is not None:
            raise self._ended.error
        return self._ended.result  # type: ignore[union-attr]

    def wait(self) -> None:
        """Wait until the consumer has ended, well or not."""
        while self._next():
            pass

    def __enter__(self) -> "Handover[Item, Result]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._given.put(_LAST if error is None else _ABANDON)
        if error is not None:
            self.wait()
