"""Hand units of work to the engine of compute.yaml; results come in order, the same bytes from each."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from versat2i.settings.compute import Compute
from versat2i.work import cluster, pool

Task = TypeVar("Task")
Result = TypeVar("Result")


def run(
    make: Callable[[], Callable[[Task], Any]],
    tasks: Sequence[Task],
    machine: Compute,
    stage: str,
    reads: Callable[[Task], Sequence[Path]] | None = None,
) -> Iterator[Any]:
    """Work on units, results in their order.

    Args:
        make: makes the worker, once a process; picklable unless the engine is `inline`.
        tasks: what each call of the worker is given.
        machine: the engine and its workers.
        stage: e.g. ``score@geometry``.
        reads: the files and folders a unit reads, which nodes of a cluster without a shared disk are sent.

    Raises:
        ValueError: a worker was killed; else whatever a worker raises.
    """
    if machine.engine == "ray":
        yield from cluster.run(make, tasks, machine, stage, reads)
    else:
        yield from pool.run(make, tasks, machine.processes(stage.partition("@")[0]), machine.gpus())
