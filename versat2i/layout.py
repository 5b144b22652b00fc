"""Where everything lies: the data flow as folder names."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("plots")

IMAGES = DATA / "images"


def prompts(split: str) -> Path:
    return DATA / "prompts" / f"{split}.parquet"


def questions(split: str) -> Path:
    return DATA / "questions" / f"{split}.parquet"


def scores(aspect: str) -> Path:
    return DATA / "scores" / f"{aspect}.parquet"


def selected(aspect: str) -> Path:
    return DATA / "selected" / aspect


def adapter(name: str) -> Path:
    return DATA / "adapters" / name


def evaluation(variant: str) -> Path:
    return DATA / "evaluation" / variant


def metrics(*parts: str) -> Path:
    return METRICS.joinpath(*parts[:-1], f"{parts[-1]}.json")


def plot(*parts: str) -> Path:
    return PLOTS.joinpath(*parts[:-1], f"{parts[-1]}.csv")


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write metrics: sorted keys, so that equal content is equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table for `dvc plots`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
