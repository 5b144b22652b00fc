"""The processes that train one adapter together: each computes the gradient of its rows of every batch.

    g = sum_r n_r / n g_r

g_r is the gradient of rank r's mean loss over its n_r of the batch's n rows, so g is the batch's: results differ from
those of one device by rounding alone. Weights and the optimizer's state are the same in every rank at every step.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from versat2i.settings.compute import Compute
from versat2i.work import ranks

Out = TypeVar("Out")
Result = TypeVar("Result")

PATIENCE = timedelta(hours=2)  # for a slower rank; one that is gone is noticed at once


@dataclass(frozen=True)
class Group:
    """The ranks of a training, seen from one of them.

    Attributes:
        number: of this rank; 0 shows progress and writes.
        size: how many there are.
    """

    number: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.number == 0

    def rows(self, amount: int) -> range:
        """Rows of a batch that this rank computes; some ranks have one more than others."""
        return range(self.number * amount // self.size, (self.number + 1) * amount // self.size)

    def add(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, the same bits in all of them.

        Args:
            tensors: of one dtype, on this rank's device; the same shapes in each rank.

        Raises:
            ranks.Lost: a rank is gone.
        """
        if self.size == 1:
            return
        whole = torch.cat([tensor.flatten() for tensor in tensors])
        try:
            dist.all_reduce(whole)
        except RuntimeError as error:
            raise ranks.Lost(f"rank {self.number} has lost another: {' '.join(str(error).split())[:400]}") from None
        parts = whole.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether something holds in any rank."""
        told = torch.tensor(float(here), device=device if self.size > 1 else None)
        self.add([told])
        return bool(told)


ALONE = Group()


def here() -> Group:
    """The group of this process."""
    if dist.is_available() and dist.is_initialized():
        return Group(dist.get_rank(), dist.get_world_size())
    return ALONE


def spread(work: Callable[[Out], Result], machine: Compute) -> Callable[[Out], Result]:
    """Have work done by as many ranks as compute.yaml has `devices`; by this process where that is one.

    Args:
        work: trains by `loop.train`, from which only the first rank returns; picklable, as what it returns.
        machine: how many devices, and which.
    """
    if machine.devices == 1:
        return work
    return partial(_spread, work, machine)


def _spread(work: Callable[[Out], Result], machine: Compute, out: Out) -> Result:
    with tempfile.TemporaryDirectory(prefix="versat2i-") as folder:
        meeting = Path(folder) / "ranks"
        return ranks.run(partial(_rank, work, machine, out, meeting), machine.devices, machine.of_ranks())


def _rank(work: Callable[[Out], Result], machine: Compute, out: Out, meeting: Path, number: int) -> Result:
    backend = "nccl" if machine.torch_device() == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=meeting.as_uri(), rank=number, world_size=machine.devices, timeout=PATIENCE
    )
    return work(out)
