"""Finished trainings, cached by fingerprint: DVC may rerun a stage, but nothing is trained twice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from versat2i.formats import metrics as metric_files
from versat2i.formats import tables
from versat2i.work import files, fingerprint, places
from versat2i.work import store as work_store

Result = tuple[dict[str, Any], pd.DataFrame, Callable[[], None]]

ADAPTER, METRICS, LOSSES = "adapter", "metrics.json", "losses.parquet"  # in a piece of work


@dataclass(frozen=True)
class Trained:
    """An adapter with what is told of its training.

    Attributes:
        adapter: the folder of its files, in the work store.
        metrics: for ``metrics/``.
        losses: of each step (kind `losses`).
        new: whether it had to be made.
    """

    adapter: Path
    metrics: dict[str, Any]
    losses: pd.DataFrame
    new: bool

    @property
    def source(self) -> str:
        """Return what a stage's summary says of it: nothing, or that it is from the work store."""
        return "" if self.new else " taken from the work store,"

    def put(self, stage: str, name: str) -> None:
        """Write the outputs of a stage: the adapter's folder, its losses for `dvc plots`, its metrics."""
        with files.replaced(places.adapter(name)) as out:
            work_store.assemble(self.adapter, out)
        metric_files.write_csv(self.losses, places.plot(stage, name))
        metric_files.write_json(self.metrics, places.metrics(stage, name))


def make(stage: str, key: str, train: Callable[[Path], Result]) -> Trained:
    """Train, or find what was trained before.

    Args:
        stage: its name; its own code is part of what is looked for.
        key: fingerprint of all else that the adapter depends on.
        train: writes the adapter's files into a folder; returns metrics, the loss of each step, and what to call
            once all that is safe.
    """
    store = work_store.Store(stage)
    key = fingerprint.of([f"stages.{stage}"], key=key)
    found = store.find(key)
    done: Callable[[], None] | None = None

    def write(piece: Path) -> None:
        nonlocal done
        (piece / ADAPTER).mkdir()
        metrics, losses, done = train(piece / ADAPTER)
        metric_files.write_json(metrics, piece / METRICS)
        tables.write("losses", losses, piece / LOSSES)

    piece = found or store.make(key, write)
    if done is not None:
        done()
    losses = tables.read("losses", piece / LOSSES)
    return Trained(piece / ADAPTER, metric_files.read_json(piece / METRICS), losses, found is None)
