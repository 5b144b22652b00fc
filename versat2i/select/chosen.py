"""Copy the picks of an aspect, so that training never needs the candidate pool."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from versat2i.formats import shards, tables

PICKS, IMAGES, RIVALS, REJECTED = "picks.parquet", "images", "rivals", "rejected"
MOST_SHARDS = 1024  # of images, and as many of rivals


def copy(pool: Path, picks: pd.DataFrame, rejected: pd.DataFrame, texts: dict[str, str], out: Path) -> None:
    """Copy the picked candidates and their rivals, and a few rejected ones for the report.

    Args:
        pool: folder of the candidates' shards.
        picks: `prompt_id, k, score, rank, rival, gap` of the picks; the rival is the k of a worse candidate of the
            prompt, the gap how much worse it is.
        rejected: `prompt_id, k` of the rejected to keep.
        texts: prompt_id -> text.
        out: gets ``picks.parquet`` and the shards ``images/``, ``rivals/`` and ``rejected/``.
    """
    wanted = {IMAGES: picks, RIVALS: picks.assign(k=picks["rival"]), REJECTED: rejected}
    keys = {name: set(zip(chosen["prompt_id"], chosen["k"], strict=True)) for name, chosen in wanted.items()}
    for name in wanted:
        (out / name).mkdir()
    for group in _grouped(shards.paths(pool)):
        shards.copy(group, {out / name / group[0].stem: chosen for name, chosen in keys.items()})
    members = [f"{prompt_id}.{k}.png" for prompt_id, k in zip(picks["prompt_id"], picks["k"], strict=True)]
    table = picks.assign(text=picks["prompt_id"].map(texts), member=members)
    tables.write("picks", table, out / PICKS)


def _grouped(paths: Sequence[Path]) -> list[Sequence[Path]]:
    """Shards of the pool whose picks share a shard, since DVC looks at every file one by one.

    As few as give at most `MOST_SHARDS` groups, a power of two: a pool that grows a little is cut as before.
    """
    size = 1
    while -(-len(paths) // size) > MOST_SHARDS:
        size *= 2
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def load(selected: Path) -> tuple[pd.DataFrame, list[shards.Candidate]]:
    """The picks table of a selected set and its candidates, in the same order.

    Raises:
        ValueError: a pick is not among the images.
    """
    picks = tables.read("picks", selected / PICKS)
    return picks, _find(selected, IMAGES, picks)


def load_rivals(selected: Path) -> list[shards.Candidate]:
    """The rivals of a selected set's picks, in the order of its table.

    Raises:
        ValueError: a rival is not among the images.
    """
    picks = tables.read("picks", selected / PICKS)
    return _find(selected, RIVALS, picks.assign(k=picks["rival"]))


def _find(selected: Path, name: str, wanted: pd.DataFrame) -> list[shards.Candidate]:
    found = {(c.prompt_id, c.k): c for c in shards.read_all(selected / name)}
    keys = list(zip(wanted["prompt_id"], wanted["k"], strict=True))
    missing = [key for key in keys if key not in found]
    if missing:
        raise ValueError(
            f"{selected}: candidate {missing[0][1]} of prompt {missing[0][0]} is in {PICKS} but not in {name}/. "
            "Delete the folder and run `dvc repro`"
        )
    return [found[key] for key in keys]
