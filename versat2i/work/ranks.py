"""One piece of work that several processes do together, each on a device of its own: the ranks of a training."""

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from versat2i.work import pool

Result = TypeVar("Result")

GRACE = 5.0  # seconds that ranks have to end by themselves once one has failed; NCCL's would wait for it for minutes


class Lost(ValueError):
    """Another rank is gone: the effect of a failure, not its cause."""


class Left(Exception):
    """A rank other than the first has done its share, and waits until it is ended."""


@dataclass(frozen=True)
class Rank:
    """A process, and the pipe that brings ``(whether it failed, result or error)`` from it."""

    number: int
    process: BaseProcess
    told: Connection


def run(work: Callable[[int], Result], amount: int, devices: Sequence[str] = ()) -> Result:
    """Have ranks 0 to ``amount - 1`` do a piece of work together.

    Args:
        work: called with a rank's number; picklable. What rank 0 returns is the result; another rank may raise `Left`.
        amount: of ranks.
        devices: GPUs, as CUDA_VISIBLE_DEVICES names them; each rank sees one.

    Raises:
        ValueError: a rank was killed; else whatever a rank raises. No process is left.
    """
    context = multiprocessing.get_context("spawn")
    team: list[Rank] = []
    try:
        with pool.interrupts_wait():
            for number in range(amount):
                told, tell = context.Pipe(duplex=False)
                device = devices[number] if devices else None
                process = context.Process(target=_main, args=(work, number, device, tell))
                process.start()
                tell.close()  # so that the end of the process is the end of what it tells
                team.append(Rank(number, process, told))
        return _result(team)
    except KeyboardInterrupt:
        _stop(team)
        raise
    finally:
        for rank in team:
            rank.process.kill()
        for rank in team:
            rank.process.join()


def _main(work: Callable[[int], Any], number: int, device: str | None, tell: Connection) -> None:
    if device is not None:  # before anything imports torch
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: who gave the work out says when it ends
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=pool.end_with_parent, daemon=True).start()
    if number:
        logging.disable(logging.WARNING)  # the first rank says the same
    try:
        said = pickle.dumps((False, work(number)))  # not by `send`: torch would share tensors with a process that ends
    except Left:  # stays: what the first rank still reads of it would go with it
        tell.send_bytes(pickle.dumps((False, None)))
        threading.Event().wait()
    except BaseException as error:
        said = pickle.dumps((True, _picklable(error)))
    tell.send_bytes(said)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # past the cleanup of libraries that would wait for a rank that is gone


def _stop(team: list[Rank]) -> None:
    """Ask ranks to stop, and wait until they have: once one has ended, for `GRACE` seconds more."""
    for rank in team:
        rank.process.terminate()  # noted, and followed once the step is done and the state saved
    running, until = [rank.process.sentinel for rank in team], None
    while running and (ended := wait(running, _left(until))):
        running = [sentinel for sentinel in running if sentinel not in ended]
        until = until or time.monotonic() + GRACE


def _left(until: float | None) -> float | None:
    """Seconds until a time; None if there is none."""
    return None if until is None else max(0.0, until - time.monotonic())


def _picklable(error: BaseException) -> BaseException:
    """Copy an error for another process, with its traceback as text."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _result(team: list[Rank]) -> Any:
    """Wait for what the first rank returns; once a rank fails, the others have `GRACE` seconds to say why."""
    asked, failed = list(team), dict[int, BaseException | None]()  # None: it ended without a word
    until: float | None = None
    while asked:
        ready = wait([rank.told for rank in asked], _left(until))
        if not ready:
            break
        for rank in [rank for rank in asked if rank.told in ready]:
            asked.remove(rank)
            try:
                wrong, value = pickle.loads(rank.told.recv_bytes())
            except EOFError:
                wrong, value = True, None
            if wrong:
                failed[rank.number] = value
                until = until or time.monotonic() + GRACE
            elif rank.number == 0:
                return value
    raise _cause(team, failed)


def _cause(team: list[Rank], failed: dict[int, BaseException | None]) -> BaseException:
    """Choose the failure that the others follow from: an error of a rank's own, then a rank that was killed."""
    errors = [failed[number] for number in sorted(failed)]
    for error in errors:
        if error is not None and not isinstance(error, Lost):
            return error
    for number, error in failed.items():
        if error is None:
            process = team[number].process
            process.join()
            code = process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            return ValueError(
                f"process {number + 1} of {len(team)} {how}, perhaps by lack of memory. Run again to go on from the "
                "last checkpoint; a smaller micro_batch in compute.yaml needs less"
            )
    return next(error for error in errors if error is not None)
