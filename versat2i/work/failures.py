"""How work ends before its time: what went wrong in one line, and what to do."""

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from versat2i.work import places as work_places

MOST = 2000  # characters of an error


class Terminated(KeyboardInterrupt):
    """SIGTERM came: treated as Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what it has open is closed and put away."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def line(error: BaseException, stage: str) -> str:
    """One line for an error that ends a stage.

    Args:
        error: what was raised.
        stage: who ends, e.g. ``score@geometry``.
    """
    if isinstance(error, KeyboardInterrupt):
        return f"{stage}: stopped; what is finished is kept, run again to go on from there"
    if is_out_of_memory(error):
        return f"{stage}: out of memory ({_text(error)}). {_advice(stage)}"
    if isinstance(error, ValueError | OSError):
        return _text(error)
    return f"{stage}: {type(error).__name__}: {_text(error)} {_kept(error, stage)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or its GPU has no memory left; torch's own error is known by name: it is heavy to import."""
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
