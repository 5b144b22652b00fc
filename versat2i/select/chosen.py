"""Copy the picks of an aspect, so that training never needs the candidate pool."""

from pathlib import Path

import pandas as pd

from versat2i.formats import shards, tables

PICKS, IMAGES, RIVALS, REJECTED = "picks.parquet", "images", "rivals", "rejected"


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
    _copy_shards(pool, picks, out / IMAGES)
    _copy_shards(pool, picks.assign(k=picks["rival"]), out / RIVALS)
    _copy_shards(pool, rejected, out / REJECTED)
    members = [f"{prompt_id}.{k}.png" for prompt_id, k in zip(picks["prompt_id"], picks["k"], strict=True)]
    table = picks.assign(text=picks["prompt_id"].map(texts), member=members)
    tables.write("picks", table, out / PICKS)


def _copy_shards(pool: Path, chosen: pd.DataFrame, out: Path) -> None:
    """One shard of chosen candidates for each shard of the pool that holds any: memory stays bounded."""
    wanted = set(zip(chosen["prompt_id"], chosen["k"], strict=True))
    out.mkdir()
    for path in shards.paths(pool):
        found = list(shards.read(path, wanted))
        if found:
            shards.write(out / path.stem, found)


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
