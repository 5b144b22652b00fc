"""Metrics as JSON and plots as CSV: equal content is equal bytes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from versat2i.work import files

CONFLICT = re.compile(r"^<{7}( |$)", re.M)


def parse_json(text: str, name: str, remedy: str = "Delete it and run `dvc repro`") -> dict[str, Any]:
    """The object of JSON that a text is.

    Args:
        text: e.g. what `write_json` wrote.
        name: where it was found, the start of every error.
        remedy: what to do about a damaged one.

    Raises:
        ValueError: it holds git's marks of a conflict, or no JSON object; the line is named.
    """
    if mark := CONFLICT.search(text):
        line = text.count("\n", 0, mark.start()) + 1
        raise ValueError(f"{name}: line {line} is git's mark of a conflict. Take either side, then run `dvc repro`")
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: not readable JSON ({error}). {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name}: expected a JSON object, found {type(content).__name__}. {remedy}")
    return content


def read_json(path: Path, remedy: str = "Delete it and run `dvc repro`") -> dict[str, Any]:
    """Read what `write_json` wrote.

    Args:
        path: the file.
        remedy: what to do about a damaged one.

    Raises:
        ValueError: the file is missing, or as `parse_json`.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"), str(path), remedy)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file. Run `dvc repro` (or `dvc pull`) first") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable JSON ({error}). {remedy}") from None


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write metrics: sorted keys, so that equal content is equal bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    with files.new_file(path) as partial:
        partial.write_text(text)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table for `dvc plots`."""
    with files.new_file(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table of numbers that `write_csv` wrote.

    Raises:
        ValueError: the file is missing, no table, has other columns, or something else than numbers in them.
    """
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such table. Run `dvc repro` (or `dvc pull`) first") from None
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{path}: not a readable table ({problem}). Delete it and run `dvc repro`") from None
    if list(frame.columns) != columns:
        raise ValueError(f"{path}: columns {', '.join(frame.columns)}, expected {', '.join(columns)}. Run `dvc repro`")
    for name in columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) or not np.isfinite(frame[name]).all():
            raise ValueError(f"{path}: column {name!r} holds what is no number. Delete it and run `dvc repro`")
    return frame
