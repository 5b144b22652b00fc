"""A real Ray cluster of two nodes on this machine, and workers for it."""

import logging
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from versat2i.settings import compute
from versat2i.work import files, store

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Squares:
    """Makes a worker that keeps each number's square, and notes in `log` who began what."""

    log: Path
    seconds: float = 0.0
    deadly: int | None = None  # a number that kills its worker

    def __call__(self) -> "Squarer":
        return Squarer(self)


class Squarer:
    def __init__(self, recipe: Squares) -> None:
        self.recipe, self.store = recipe, store.Store("generate")

    def __call__(self, number: int) -> tuple[int, Path, bool]:
        key = f"{number:032d}"
        found = self.store.find(key)
        return number, found or self.store.make(key, lambda out: self.square(number, out)), found is None

    def square(self, number: int, out: Path) -> None:
        with self.recipe.log.open("a") as log:
            log.write(f"{number} {os.getpid()}\n")
        if number == self.recipe.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise ValueError(f"{number} has no root")
        time.sleep(self.recipe.seconds)
        (out / "square").write_text(str(number**2))


@dataclass(frozen=True)
class Roots:
    """Makes a worker that reads numbers from files, and logs a warning."""

    def __call__(self) -> "Rooter":
        return Rooter()


class Rooter:
    def __call__(self, path: Path) -> float:
        if (found := store.Store("score").find(path.name)) is None:
            logging.getLogger("versat2i.test").warning("reads %s", path.name)
            number = float(path.read_text())
            found = store.Store("score").make(path.name, lambda out: _write(out, number))
        return float((found / "root").read_text())


def _write(out: Path, number: float) -> None:
    (out / "root").write_text(str(math.sqrt(number)))


@dataclass(frozen=True)
class Counts:
    """Makes a worker that counts from where its checkpoint is to a number, as a training does, and notes each count."""

    log: Path
    seconds: float

    def __call__(self) -> "Counter":
        return Counter(self)

    def reads(self, until: int) -> list[Path]:
        return [store.Store("mix").folder / "count.pt"]


class Counter:
    def __init__(self, recipe: Counts) -> None:
        self.recipe = recipe

    def __call__(self, until: int) -> int:
        (path,) = self.recipe.reads(until)
        if (found := store.Store("mix").find("counted")) is None:
            found = store.Store("mix").make("counted", lambda out: self._count(until, path, out))
            path.unlink()
        return int((found / "count").read_text())

    def _count(self, until: int, path: Path, out: Path) -> None:
        count = int(path.read_text()) if path.exists() else 0
        while count < until:
            count += 1
            with self.recipe.log.open("a") as log:
                log.write(f"{count} {os.getpid()}\n")
            time.sleep(self.recipe.seconds)
            with files.new_file(path) as partial:
                partial.write_text(str(count))
        (out / "count").write_text(str(count))


def begun(log: Path) -> list[tuple[int, int]]:
    """Number and process of each square that was begun."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(number), int(pid)) for number, pid in (line.split() for line in lines)]


@contextmanager
def nodes(amount: int = 2) -> Iterator[Any]:
    """A cluster of nodes with one CPU each; the first, the head, has none but with one node."""
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else 15, which on a busy machine means never
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.delenv("RAY_ADDRESS", raising=False)
        size = {"object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
        try:
            for _ in range(amount):
                cluster.add_node(num_cpus=1, **size)
            yield cluster
        finally:
            cluster.shutdown()


def machine(cluster: Any, **ray: Any) -> compute.Compute:
    """Work on that cluster."""
    return compute.Compute(device="cpu", engine="ray", ray=compute.Cluster(address=cluster.address, **ray))
