"""Metrics as JSON and plots as CSV: equal content is equal bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from versat2i.work import files


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        ValueError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file. Run `dvc repro` (or `dvc pull`) first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable JSON ({error}). Delete it and run `dvc repro`") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}. Run `dvc repro`")
    return content


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
