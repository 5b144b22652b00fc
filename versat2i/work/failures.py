"""Turn failures and signals into one line: what went wrong, and what to do."""

import atexit
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from versat2i.work import places as work_places

MOST = 2000  # characters of an error


class Terminated(KeyboardInterrupt):
    """SIGTERM came: treated as Ctrl-C."""


STOPS = (signal.SIGTERM, signal.SIGINT)
AGAIN = 0.05  # seconds until a stop that a destructor swallowed is raised again

_came: int | None = None  # the signal that asked this process to stop
_status: int | None = None  # with which this process ends, once that is known


def stopped() -> bool:
    """Whether SIGTERM or Ctrl-C came since `terminable` was entered, whatever became of its exception."""
    return _came is not None


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the block by an exception, so that what it has open is closed and put away.

    The handler notes that a stop came (`stopped`), because libraries lose the exception: pandas' C encoder turns any
    exception of its callbacks into a ValueError, and Python drops one that is raised in a destructor. The latter is
    raised again after `AGAIN` seconds.

    A stop that comes while the handlers change, or that a library lost for good, is raised once they are back. So the
    exception may come from the ``with`` statement itself: who tells it has that statement within its ``try``.

    Raises:
        KeyboardInterrupt: Ctrl-C came; `Terminated`: SIGTERM.
    """
    global _came

    def stop() -> KeyboardInterrupt:
        return KeyboardInterrupt() if _came == signal.SIGINT else Terminated()

    def end(number: int, frame: FrameType | None) -> None:
        global _came
        if number in STOPS:
            _came = number
        if raising:
            raise stop()

    def dropped(what: "sys.UnraisableHookArgs") -> None:
        if isinstance(what.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            told(what)

    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    _came, raising, told, before = None, False, sys.unraisablehook, {}
    try:
        for number in (*STOPS, signal.SIGALRM):
            before[number] = signal.getsignal(number)
            signal.signal(number, end)
        sys.unraisablehook = dropped
        try:
            raising = True
            if stopped():
                raise stop()
            yield
        finally:
            raising = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = told
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped():
        raise stop()


STOPPED = "stopped; what is finished is kept, run again to go on from there"


def tell_early(command: list[str]) -> None:
    """Tell a stop in one line while a stage still imports its modules, and again once its work is done.

    There is nothing to put away at these times, so the process ends at once. `terminable` takes over meanwhile. Once
    the work is done, the process ends after its last `atexit` callback.

    Args:
        command: of this process, as `sys.orig_argv` has it; one that is no stage is left alone.
    """
    module = next(iter(command[command.index("-m") + 1 :]), "") if "-m" in command else ""
    if not module.startswith("stages."):
        return
    stage = "@".join([module.removeprefix("stages."), *command[command.index(module) + 1 :]])

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, f"Error: {stage}: {STOPPED}\n".encode())
        os._exit(1)

    for number in STOPS:
        signal.signal(number, end)
    atexit.register(_leave)  # first, so called last


def ends(status: int) -> None:
    """Say with which exit status this process will end, so that `tell_early` can end it at once."""
    global _status
    _status = status


def _leave() -> None:
    """End the process without Python's cleanup: it takes a tenth of a stage's time and swallows a stop."""
    if _status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)


def line(error: BaseException, stage: str, stop: str = STOPPED) -> str:
    """One line for an error that ends a stage or a command.

    An error that is raised after a stop came is told as the stop: see `terminable`.

    Args:
        error: what was raised.
        stage: who ends, e.g. ``score@geometry``.
        stop: how a stop is told.
    """
    if stopped() or isinstance(error, KeyboardInterrupt):
        return f"{stage}: {stop}"
    if is_out_of_memory(error):
        return f"{stage}: out of memory ({_text(error)}). {_advice(stage)}"
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ValueError):
        return _text(error)
    return f"{stage}: {type(error).__name__}: {_text(error)} {_kept(error, stage)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or its GPU is out of memory; torch's error is known by name, as torch is slow to import."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and any(word in str(error) for word in words))


def _advice(stage: str) -> str:
    """Which setting makes a stage need less memory."""
    name, _, item = stage.partition("@")
    places = {
        "generate": "generate.batch_size",
        "score": f"rewards.{item}.batch_size",
        "train_lora": f"train_lora.{item}.batch_size",
        "mix": f"mix.{item}.batch_size",
        "evaluate": "evaluate.batch_size, or that of an evaluator in rewards",
    }
    if name not in places:
        return "Run it on a machine with more memory"
    return (
        f"Set a smaller {places[name]} in params.yaml, e.g. half of what it is. It counts as a part of the result: "
        "what depends on it is made again, nothing is mixed"
    )


FULL = (errno.ENOSPC, errno.EDQUOT)


def _of_system(error: OSError) -> str:
    """Describe a system error; for a full disk, say how to make room or to write elsewhere."""
    if error.errno not in FULL:
        return _text(error)
    return (
        f"{_text(error)}. Make room (`versat2i work --prune`, `dvc gc --workspace`), or set VERSAT2I_WORK to a folder "
        f"on another disk: finished work is kept below {work_places.home()}"
    )


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:MOST] or type(error).__name__


def _kept(error: BaseException, stage: str) -> str:
    """Where the traceback of an error that nobody foresaw is kept."""
    path = work_places.home() / "errors" / f"{stage}.txt"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)))
        return f"(traceback in {path})"
    return f"(no traceback: {path} cannot be written)"
