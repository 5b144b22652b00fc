"""Write losses and samples of a running training for TensorBoard, into `.work`: no stage reads it, DVC never hashes it.

Nothing here changes a result: samples are drawn without gradients from generators of their own, with the model's
mode and the global random state put back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versat2i.settings.compute import Compute
from versat2i.work import places

Watch = Callable[[int, float], None]

Samples = Callable[[], NDArray[np.uint8]]  # draws a picture, [height, width, 3]


@contextmanager
def watching(name: str, machine: Compute, samples: Samples) -> Iterator[Watch]:
    """Yield a function for the training loop to call after each step, with the step (from 1) and its loss.

    Args:
        name: of the adapter; its events lie in the work store under ``tensorboard/<name>``.
        machine: whether and how often to note anything.
        samples: draws a picture of what the model does by now; called every `samples_every` steps.

    Raises:
        ValueError: compute.yaml asks for TensorBoard, which is not installed.
    """
    if machine.tracker == "none":
        yield lambda step, loss: None
        return
    writer_class = _writer_class()
    writer = None

    def watch(step: int, loss: float) -> None:
        nonlocal writer
        if writer is None:  # a run that goes on takes the place of what was noted past its checkpoint
            writer = writer_class(str(places.home() / "tensorboard" / name), purge_step=step)
        writer.add_scalar("loss", loss, step)
        if step % machine.samples_every == 0:
            writer.add_image("samples", samples(), step, dataformats="HWC")

    try:
        yield watch
    finally:
        if writer is not None:
            writer.close()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "compute.yaml: tracker: tensorboard needs a package that is not installed; "
            "please install versat2i[tensorboard], or set tracker: none"
        ) from None
    return SummaryWriter
