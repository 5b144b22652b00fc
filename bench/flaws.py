"""How often does the embedded model draw each flaw, and how often did its training data have it?

A small network learns to name the flaws of drawn scenes behind the autoencoder, then reads samples.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.accuracy import evaluated, own_samples
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.seeds import stable_seed
from versat2i.settings.params import Model
from versat2i.shapes.pretraining import scenes
from versat2i.shapes.pretraining.autoencoder import encode, to_tensor
from versat2i.shapes.pretraining.pretrain import MODEL
from versat2i.shapes.world.flaws import LOADINGS, WHOLE, Flaws

NAMES = tuple(LOADINGS)
LEARNED, CHECKED = 12_000, 3_000  # scenes
EPOCHS, BATCH = 6, 64
SEED = 1  # of the scenes: none of them is a training scene of the model


def levels(flaws: Flaws) -> list[float]:
    """Each flaw as a share of its whole size."""
    return [getattr(flaws, name) / getattr(WHOLE, name) for name in NAMES]


def reader() -> nn.Sequential:
    """An untrained network from ``[batch, 3, 64, 64]`` to a logit a flaw."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 8 * 8, 64),
        nn.ReLU(),
        nn.Linear(64, len(NAMES)),
    )


def learn(images: np.ndarray, present: Tensor) -> nn.Sequential:
    """A network that names flaws, trained by binary cross-entropy.

    Args:
        images: ``uint8 [amount, 64, 64, 3]``.
        present: whether each flaw is there, ``float32 [amount, flaws]``.
    """
    torch.manual_seed(0)
    network = reader()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(stable_seed("flaws", epoch)))
        for rows in order.split(BATCH):
            loss = F.binary_cross_entropy_with_logits(network(to_tensor(images[rows.numpy()])), present[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def read(network: nn.Sequential, images: np.ndarray) -> np.ndarray:
    """Which flaws each image has, ``bool [amount, flaws]``."""
    return np.concatenate([(network(to_tensor(images[i : i + 256])) > 0).numpy() for i in range(0, len(images), 256)])


def share(read_positive: float, sensitivity: float, false_alarms: float) -> float:
    """A share corrected for the reader's errors, ``(p - f) / (s - f)`` (Rogan & Gladen 1978)."""
    return float(np.clip((read_positive - false_alarms) / (sensitivity - false_alarms), 0, 1))


def _scenes(model: Backbone, first: int, amount: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn scenes behind the autoencoder, and their flaws' levels ``[amount, flaws]``."""
    imagined = [scenes.imagine(SEED, index) for index in range(first, first + amount)]
    latents = encode(model.pipe.vae, np.stack([each.draw() for each in imagined])).float()
    images = np.concatenate([model.decode(part) for part in latents.split(256)])
    return images, np.array([levels(each.flaws) for each in imagined])


def table(network: nn.Sequential, drawn: np.ndarray, known: np.ndarray, samples: np.ndarray) -> pd.DataFrame:
    """One row a flaw: its share of scenes and of samples, the half-width of the latter, and the reader's accuracy."""
    present, seen, found = known > 0.5, read(network, drawn), read(network, samples)
    rows = {}
    for column, name in enumerate(NAMES):
        truth, said = present[:, column], seen[:, column]
        sensitivity, alarms = said[truth].mean(), said[~truth].mean()
        p = found[:, column].mean()
        width = 1.96 * np.sqrt(p * (1 - p) / len(samples)) / (sensitivity - alarms)
        rows[name] = (truth.mean(), share(p, sensitivity, alarms), width, (truth == said).mean())
    return pd.DataFrame.from_dict(rows, orient="index", columns=["scenes", "samples", "+-", "reader's accuracy"])


def of_run(root: Path) -> dict[str, np.ndarray]:
    """variant -> images that a finished run in that folder evaluated, ``uint8 [amount, 64, 64, 3]``."""
    return {variant: np.stack([each.image for each in drawn]) for variant, drawn in evaluated(root).items()}


@click.command()
@click.argument("folder", default=MODEL, type=Path)
@click.option("--prompts", default=400, show_default=True)
@click.option("--run", type=Path, help="A folder with a finished run, whose variants are read in place of new samples.")
def main(folder: Path, prompts: int, run: Path | None) -> None:
    """Report the share of each flaw in scenes and in the model's samples, or in a run's images.

    \b
    Example:
        python -m bench.flaws --prompts 400
        python -m bench.flaws --run .
    """
    model = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    images, known = _scenes(model, 0, LEARNED)
    network = learn(images, torch.from_numpy(known > 0.5).float())
    drawn, known = _scenes(model, LEARNED, CHECKED)
    samples = of_run(run) if run else {"samples": own_samples(model, prompts)[0]}
    for name, each in samples.items():
        click.echo(f"{name}\n{table(network, drawn, known, each).round(3).to_string()}")


if __name__ == "__main__":
    main()
