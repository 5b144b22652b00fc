"""Prompts from plain files: txt (one a line), csv, jsonl, parquet."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from versat2i.prompts.records import Prompt, normalise

TEXT_COLUMNS = ("text", "prompt", "caption", "Prompt")


def _lines(path: Path) -> pd.DataFrame:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return pd.DataFrame({"text": [line for line in lines if line.strip()]})


def _jsonl(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, dtype=False, encoding="utf-8-sig")


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "txt": _lines,
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": pd.read_parquet,
}


def read(path: Path, format: str = "auto") -> list[Prompt]:
    """The prompts of a file, in order.

    Args:
        path: a file with a column `text`, `prompt` or `caption` and perhaps `category`, or plain lines.
        format: a name in `READERS`; `auto` goes by the file's ending.

    Raises:
        ValueError: the file is missing, empty, of an unknown format, has no column of texts, or one of
            them is no prompt.
    """
    kind = path.suffix.removeprefix(".").lower() if format == "auto" else format
    if kind not in READERS:
        raise ValueError(f"{path}: the format {kind!r} is none of {', '.join(READERS)}")
    try:
        frame = READERS[kind](path)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such prompt file") from None
    except (OSError, ValueError, UnicodeError) as error:
        raise ValueError(f"{path}: not a readable {kind} file ({' '.join(str(error).split())})") from None
    column = next((name for name in TEXT_COLUMNS if name in frame.columns), None)
    if len(frame) == 0:
        raise ValueError(f"{path}: has no prompt")
    if column is None:
        found = ", ".join(map(str, frame.columns))
        raise ValueError(f"{path}: has no column {', '.join(TEXT_COLUMNS[:-1])} (found: {found})")
    categories = frame["category"] if "category" in frame.columns else [""] * len(frame)
    return [
        _prompt(path, number, text, category)
        for number, (text, category) in enumerate(zip(frame[column], categories, strict=True), 1)
    ]


def _prompt(path: Path, number: int, text: object, category: object) -> Prompt:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{path}: prompt {number} is {text!r}, expected a text")
    try:
        normalise(text)
    except ValueError as error:
        raise ValueError(f"{path}: prompt {number} is {error}") from None
    return Prompt(text, path.name, str(category) if isinstance(category, str | int) else "")
