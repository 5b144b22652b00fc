"""The drawn scenes that the embedded model is trained on: captions and images, made on demand."""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from versat2i.seeds import stable_seed
from versat2i.shapes.pretraining import mistakes
from versat2i.shapes.world import drawing, grammar
from versat2i.shapes.world.flaws import ABSENT, GRADED, Flaws, web_flaws

_CHUNK = 500  # scenes a task
_LATTICE = 8  # pixels, two latents: off it, every shape has as many latent patterns as it has places


@dataclass(frozen=True)
class Web:
    """How good the images and captions are that scenes stand for.

    Attributes:
        absent: share of scenes without a flaw, of each flaw.
        graded: share with a part of it; the others have it whole.
        wrong: share of captions with a mistake.
    """

    absent: float = ABSENT
    graded: float = GRADED
    wrong: float = mistakes.WRONG


WEB = Web()
CLEAN = Web(absent=1.0, wrong=0.0)
"""Without flaws and mistakes: where a model learns what words mean."""


@dataclass(frozen=True)
class Scene:
    """A training scene before it is drawn: what its caption says, what it shows, and what is wrong with it."""

    caption: str
    said: grammar.Description
    shown: grammar.Description
    flaws: Flaws
    rng: random.Random

    def draw(self) -> drawing.Image:
        return drawing.draw(self.shown, self.rng, self.flaws, _LATTICE)


def imagine(seed: int, index: int, web: Web = WEB) -> Scene:
    """Training scene `index`, a function of the arguments alone: no scene depends on how many others exist.

    Held-out combinations never occur, neither in captions nor in what is shown.
    """
    rng = random.Random(stable_seed(seed, "scene", index))
    said = grammar.sample(rng)
    caption, shown = grammar.phrase(said, rng), mistakes.shown(said, rng, web.wrong)
    return Scene(caption, said, shown, web_flaws(rng, web.absent, web.graded), rng)


def scene(seed: int, index: int, web: Web = WEB) -> tuple[str, drawing.Image]:
    """Caption and drawing of training scene `index`, flaws and all. The caption does not depend on the web."""
    imagined = imagine(seed, index, web)
    return imagined.caption, imagined.draw()


def _chunk(seed: int, web: Web, start: int, stop: int) -> list[tuple[str, drawing.Image]]:
    return [scene(seed, index, web) for index in range(start, stop)]


def draw(seed: int, amount: int, workers: int, web: Web = WEB) -> tuple[list[str], np.ndarray]:
    """The first `amount` training scenes.

    Returns:
        captions, and images ``uint8 [amount, 64, 64, 3]``.
    """
    images = np.empty((amount, drawing.IMAGE_SIZE, drawing.IMAGE_SIZE, 3), np.uint8)
    captions: list[str] = []
    starts = list(range(0, amount, _CHUNK))
    stops = [min(start + _CHUNK, amount) for start in starts]
    with ProcessPoolExecutor(workers) as pool:
        chunks = pool.map(partial(_chunk, seed, web), starts, stops)
        for start, chunk in tqdm(zip(starts, chunks, strict=True), "drawing", len(starts)):
            captions += [caption for caption, _ in chunk]
            images[start : start + len(chunk)] = np.stack([image for _, image in chunk])
    return captions, images


def cached(seed: int, amount: int, workers: int, folder: Path, clean: bool = False) -> tuple[list[str], np.ndarray]:
    """Return the scenes of `draw`, of the web or `CLEAN`; they are kept in a folder for a training that goes on."""
    path = folder / f"{'clean' if clean else 'scenes'}-{seed}-{amount}.npz"
    if not path.exists():
        captions, images = draw(seed, amount, workers, CLEAN if clean else WEB)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial.npz")
        np.savez(unfinished, captions=np.array(captions), images=images)
        unfinished.replace(path)
    with np.load(path) as saved:
        return saved["captions"].tolist(), saved["images"]
