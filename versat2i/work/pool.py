"""Share tasks out among worker processes; results come in order."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait
from typing import Any, Protocol, TypeVar, runtime_checkable

Task = TypeVar("Task")
Result = TypeVar("Result")
Later = TypeVar("Later", covariant=True)


@runtime_checkable
class Pending(Protocol[Later]):
    """A result that threads of a worker still write: the worker can begin its next task meanwhile."""

    def result(self) -> Later:
        """Wait for the result; raises whatever went wrong."""
        ...

    def wait(self) -> None:
        """Wait until nothing is written any more."""
        ...


_make: Callable[[], Callable] | None = None  # of this worker process, told by `_start`


def _start(make: Callable[[], Callable], devices: Any = None) -> None:
    global _make
    _make = make
    if devices is not None:  # before anything imports torch
        os.environ["CUDA_VISIBLE_DEVICES"] = devices.get()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: whoever gave the work out says when it ends
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and in processes that the block starts until they let it come.

    A worker that Ctrl-C ends before `_start` breaks the pool while its tasks are called off, and Python's executor
    may then wait for ever (github.com/python/cpython/pull/108974).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold its GPU."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@cache
def _worker() -> Callable:
    """Made by the first task, not by `_start`, whose errors would reach the caller as a broken pool."""
    return _make()  # type: ignore[misc]


def settled(result: Any) -> Any:
    """A result, waited for where it is still written."""
    return result.result() if isinstance(result, Pending) else result


def _work(task: Any) -> Any:
    return settled(_worker()(task))


def _one_behind(worker: Callable[[Task], Result | Pending[Result]], tasks: Sequence[Task]) -> Iterator[Result]:
    """Results in order; one that is pending comes once the next task is done but for what is pending of it."""
    behind: Pending[Result] | None = None
    try:
        for task in tasks:
            result = worker(task)
            before, behind = behind, result if isinstance(result, Pending) else None
            if before is not None:
                yield before.result()
            if not isinstance(result, Pending):
                yield result
        if behind is not None:
            before, behind = behind, None
            yield before.result()
    finally:
        if behind is not None:  # after an error or a stop: what is finished is kept
            behind.wait()


def run(
    make: Callable[[], Callable[[Task], Result | Pending[Result]]],
    tasks: Sequence[Task],
    processes: int,
    devices: Sequence[str] = (),
) -> Iterator[Result]:
    """Work on tasks, results in their order.

    Args:
        make: makes the worker, once a process; must be picklable where there are several. A single process begins a
            task while the result before it is `Pending`.
        tasks: what each call of the worker is given.
        processes: how many share the tasks out; a single one is this process.
        devices: GPUs, as CUDA_VISIBLE_DEVICES names them; each process sees one, in turn.

    Raises:
        ValueError: a worker process was killed; else whatever a worker raises.
    """
    workers = min(processes, len(tasks), max(os.cpu_count() or 1, len(devices)))
    if workers < 2:
        if tasks:
            yield from _one_behind(make(), tasks)
        return
    context = multiprocessing.get_context("spawn")
    seen = context.SimpleQueue() if devices else None
    for number in range(workers if seen else 0):
        seen.put(devices[number % len(devices)])  # type: ignore[union-attr]
    try:
        with ProcessPoolExecutor(workers, context, _start, (make, seen)) as pool:
            with interrupts_wait():
                results = pool.map(_work, tasks)
            yield from results
    except BrokenProcessPool:
        raise ValueError(
            f"one of {workers} worker processes was killed, perhaps by lack of memory. Run again to go on from "
            "what is finished; fewer `workers` in compute.yaml need less"
        ) from None
