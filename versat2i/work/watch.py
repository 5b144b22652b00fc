"""Training as it goes, for TensorBoard: losses and samples in `.work`, which no stage reads and DVC never hashes.

Nothing here changes a result: samples are drawn without gradients from generators of their own, with the model's
mode and the global random state put back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from versat2i.settings import compute
from versat2i.work import store

if TYPE_CHECKING:
    from versat2i.models.diffusion import Backbone
    from versat2i.train.loop import Examples

Watch = Callable[[int, float], None]

SEEDS = (0, 1)  # one image each
PROMPTS, STEPS, GUIDANCE = 4, 12, 4.0  # of a sample grid: enough to see a change, cheap enough to repeat


@contextmanager
def watching(name: str, model: "Backbone", examples: "Examples") -> Iterator[Watch]:
    """What a training loop calls after each step, with the step (from 1) and its loss; see compute.yaml.

    Args:
        name: of the adapter; its events lie in the work store under ``tensorboard/<name>``.
        model: with the adapter under training in place.
        examples: what it is trained on; its first prompts are drawn every `samples_every` steps.

    Raises:
        ValueError: compute.yaml asks for TensorBoard, which is not installed.
    """
    machine = compute.load()
    if machine.tracker == "none":
        yield lambda step, loss: None
        return
    writer_class = _writer_class()
    writer = None

    def watch(step: int, loss: float) -> None:
        nonlocal writer
        if writer is None:  # a run that goes on takes the place of what was noted past its checkpoint
            writer = writer_class(str(store.home() / "tensorboard" / name), purge_step=step)
        writer.add_scalar("loss", loss, step)
        if step % machine.samples_every == 0:
            writer.add_image("samples", samples(model, examples), step, dataformats="HWC")

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


def samples(model: "Backbone", examples: "Examples") -> NDArray[np.uint8]:
    """A grid with a row a prompt and a column a seed, ``uint8 [rows * height, columns * width, 3]``."""
    prompts = min(PROMPTS, len(examples))
    rows = torch.arange(prompts).repeat_interleave(len(SEEDS))
    training = model.denoiser.training
    model.denoiser.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            latents = model.draw(examples.prompts[rows], examples.empty, list(SEEDS) * prompts, STEPS, GUIDANCE)
            images = model.decode(latents)
    finally:
        model.denoiser.train(training)
    height, width = images.shape[1:3]
    tiles = images.reshape(prompts, len(SEEDS), height, width, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(prompts * height, len(SEEDS) * width, 3)
