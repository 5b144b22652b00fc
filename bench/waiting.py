"""How much of a device's own rate `generate` and `score` reach: a stand-in device sleeps as long as a GPU computes.

What is left of a real GPU's rate depends on the processors beside it: this measures them without a GPU.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from bench import png
from versat2i.formats import shards
from versat2i.generate import painter, plan
from versat2i.models.diffusion import Embeddings
from versat2i.rewards.common import scoring
from versat2i.rewards.common.base import Prompt
from versat2i.settings.params import Sampling
from versat2i.work import overlap, pool, store

CHANNELS, LATENT = 4, 8  # of SDXL's latents: channels, and pixels to a side of one
KEPT = 8  # different images that the device gives in turn


class Device:
    """A model whose every image takes so many seconds, in which the processor is free."""

    def __init__(self, seconds: float, side: int) -> None:
        self.seconds, self.side = seconds, side
        self.images = np.stack([png.photograph(side, seed) for seed in range(KEPT)])

    def embed(self, texts: list[str]) -> Embeddings:
        return Embeddings(torch.zeros(len(texts), 2, 1), torch.ones(len(texts), 2, dtype=torch.bool))

    def draw(self, embeddings: Embeddings, empty: Embeddings, seeds: list[int], *_: object) -> torch.Tensor:
        time.sleep(self.seconds * len(seeds))
        return torch.zeros(len(seeds), CHANNELS, self.side // LATENT, self.side // LATENT)

    def decode(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        return self.images[np.arange(len(latents)) % KEPT]


class Drawer:
    """Draws shards on a stand-in device, and keeps them as `generate` does."""

    def __init__(self, device: Device, batch: int) -> None:
        sampling = Sampling(steps=1, guidance_scale=1.0, batch_size=batch)
        self.painter = painter.Painter(device, sampling, 0)  # type: ignore[arg-type]
        self.store = store.Store("generate")

    def __call__(self, shard: plan.Shard) -> pool.Pending[painter.Made]:
        return painter.written(self.store, shard.name, shard, self.painter.batches(shard))


class Evaluator:
    """A reward that takes so many seconds an image, in which the processor is free."""

    name, metric, higher_is_better, range, licence = "sleeping", "sleeping", True, (0.0, 1.0), "none"
    weights: Sequence[object] = ()

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def score(self, images: NDArray[np.uint8], prompts: list[Prompt]) -> list[float | str]:
        time.sleep(self.seconds * len(images))
        return [0.5] * len(images)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for shards with a work store of its own."""
    before = os.environ.get("VERSAT2I_WORK")
    with tempfile.TemporaryDirectory(prefix="versat2i-bench-") as folder:
        os.environ["VERSAT2I_WORK"] = f"{folder}/work"
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["VERSAT2I_WORK"]
            else:
                os.environ["VERSAT2I_WORK"] = before


def _texts(images: int) -> dict[str, str]:
    return {f"p{number:05d}": f"prompt {number}" for number in range(images // plan.K_PER_SHARD)}


def drawing(seconds: float, images: int, shard: int, batch: int, side: int) -> float:
    """Share of the device's own rate at which images reach the disk.

    Args:
        seconds: an image takes on the device.
        images: how many are drawn, a multiple of 4.
        shard: images in a shard.
        batch: images drawn at once.
        side: of an image, in pixels.
    """
    device = Device(seconds, side)
    shards_to_draw = plan.plan(_texts(images), plan.K_PER_SHARD, shard // plan.K_PER_SHARD)
    with workplace():
        start = time.monotonic()
        for _ in pool.run(lambda: Drawer(device, batch), shards_to_draw, 1):
            pass
        return images * seconds / (time.monotonic() - start)


def scored(seconds: float, images: int, shard: int, batch: int, side: int) -> float:
    """Share of an evaluator's own rate at which images from the disk are scored; arguments as for `drawing`."""
    texts, drawer = _texts(images), Drawer(Device(0.0, side), batch)
    with workplace() as folder:
        pieces = plan.plan(texts, plan.K_PER_SHARD, shard // plan.K_PER_SHARD)
        for piece in pieces:
            shards.write_batches(folder / piece.name, drawer.painter.batches(piece))
        prompts = {prompt_id: Prompt(prompt_id, text, []) for prompt_id, text in texts.items()}
        start = time.monotonic()
        for path in shards.paths(folder):
            scoring.score_shards(Evaluator(seconds), (path,), prompts)
        return images * seconds / (time.monotonic() - start)


WORK: dict[str, Callable[[float, int, int, int, int], float]] = {"generate": drawing, "score": scored}


@click.command()
@click.option("--seconds", multiple=True, type=float, default=(0.42, 0.2, 0.1, 0.05), show_default=True)
@click.option("--images", default=64, show_default=True, help="A multiple of 4.")
@click.option("--shard", default=32, show_default=True, help="Images in a shard.")
@click.option("--batch", default=4, show_default=True, help="Images drawn at once.")
@click.option("--side", default=1024, show_default=True, help="Pixels.")
@click.option("--repeats", default=3, show_default=True, help="Of which the median counts.")
def main(seconds: tuple[float, ...], images: int, shard: int, batch: int, side: int, repeats: int) -> None:
    """Measure which share of a device's own rate reaches the disk, for some seconds an image.

    \b
    Example:
        python -m bench.waiting --seconds 0.42 --seconds 0.1
    """
    click.echo(f"{images} images of {side} px, {shard} a shard, {batch} at once; {overlap.THREADS} threads encode")
    click.echo("| stage | seconds an image | share of the device's rate: median, least, most |\n| --- | --- | --- |")
    for name, measure in WORK.items():
        for each in seconds:
            shares = sorted(measure(each, images, shard, batch, side) for _ in range(repeats))
            cells = f"{statistics.median(shares):.3f}, {shares[0]:.3f}, {shares[-1]:.3f}"
            click.echo(f"| {name} | {each:g} | {cells} |")


if __name__ == "__main__":
    main()
