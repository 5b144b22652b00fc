"""Times of stages on this machine, kept in the work store: DVC hashes none of them."""

import json
from contextlib import suppress
from pathlib import Path

from versat2i.work import places


def path() -> Path:
    return places.home() / "timings.jsonl"


def note(stage: str, seconds: float) -> None:
    """Record the time of a stage, if there is room for it: work that is done is not lost over it."""
    with suppress(OSError):
        path().parent.mkdir(parents=True, exist_ok=True)
        with path().open("a") as file:
            file.write(json.dumps({"stage": stage, "seconds": round(seconds, 1)}) + "\n")


def last() -> dict[str, float]:
    """Seconds of each stage the last time it ran.

    Raises:
        ValueError: the file is damaged.
    """
    if not path().exists():
        return {}
    try:
        entries = [json.loads(line) for line in path().read_text().splitlines()]
        return {entry["stage"]: float(entry["seconds"]) for entry in entries}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path()}: not a list of stages and seconds ({error!r}). It is safe to delete") from None


def table() -> list[str]:
    """`last` as lines of text with their total; nothing if no stage has run."""
    seconds = last()
    rows = [f"{stage:<26} {value:8.1f} s" for stage, value in seconds.items()]
    return [*rows, f"{'total':<26} {sum(seconds.values()):8.1f} s"] if rows else []
