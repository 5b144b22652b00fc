"""The same prompts and seeds drawn by every round: kept when a round begins, shown by the report of each later one."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from versat2i.compare import grid
from versat2i.formats import shards, tables
from versat2i.report import results
from versat2i.settings.params import FIRST, Params
from versat2i.work import places

SAMPLES = "samples"  # in a round's folder; pictures are no part of its identity
SHEET = "images/rounds.webp"


def keep(variant: str, split: str, out: Path, rows: int) -> None:
    """Write a variant's first image of each of the first prompts, ``<prompt_id>.png``; nothing if it has none.

    Args:
        variant: what the next round begins with.
        split: the prompts that it was evaluated on.
        out: the round's folder.
        rows: how many prompts.
    """
    images = places.evaluation(variant) / "images"
    if not images.is_dir():
        return
    shown = list(islice(tables.texts(places.prompts(split)), rows))
    (out / SAMPLES).mkdir(parents=True)
    for candidate in shards.read_all(images, {(prompt_id, 0) for prompt_id in shown}):
        Image.fromarray(candidate.image).save(out / SAMPLES / f"{candidate.prompt_id}.png")


def show(settings: Params, texts: Mapping[str, str], out: Path) -> str | None:
    """Write a sheet with a column a round and a row a prompt.

    Args:
        settings: all params.
        texts: prompt_id -> text of the evaluated prompts.
        out: the report's folder.

    Returns:
        its path from the page; None in the first round, or where rounds share no prompt.
    """
    kept = [_kept(Path(folder)) for folder in settings.model.start]
    shared = {key: text for key, text in texts.items() if kept and all(key in each for each in kept)}
    if not shared:
        return None
    name = results.headline(settings.evaluate.variants)
    ends = {FIRST: FIRST, f"round {len(kept)}": name}
    drawn = grid.evaluated({title: places.evaluation(end) / "images" for title, end in ends.items()}, shared)
    rounds = {f"round {number}": [_read(each[key]) for key in shared] for number, each in enumerate(kept)}
    columns = {FIRST: drawn[FIRST], **rounds, f"round {len(kept)}": drawn[f"round {len(kept)}"]}
    (out / SHEET).parent.mkdir(parents=True, exist_ok=True)
    grid.side_by_side(columns, list(shared.values())).save(out / SHEET, "WEBP", lossless=True, quality=20, method=0)
    return SHEET


def _kept(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((folder / SAMPLES).glob("*.png"))}


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
