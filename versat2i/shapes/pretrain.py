"""Train the embedded model from nothing: tokenizer, autoencoder, then text encoder and denoiser.

Every draw of a step is a function of (seed, step), so a run that was stopped goes on from its last
checkpoint as if it had never been.
"""

from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import torch
import yaml
from tqdm import tqdm

from versat2i.shapes import autoencoder, scenes

CONFIG = Path(__file__).with_suffix(".yaml")


class Checkpoint:
    """Modules and optimizer on disk, replaced as a whole."""

    def __init__(self, path: Path, **parts: torch.nn.Module | torch.optim.Optimizer) -> None:
        self.path, self.parts = path, parts

    def load(self) -> int:
        """Restore the last checkpoint, if there is one. Returns the number of steps done."""
        if not self.path.exists():
            return 0
        saved = torch.load(self.path, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        return saved["step"]

    def save(self, step: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}, partial)
        partial.replace(self.path)


def run(steps: Iterable[tuple[int, float]], checkpoint: Checkpoint, every: int, label: str, first: int, total: int) -> None:
    """Drive a training loop: a progress bar, and a checkpoint every `every` steps and at the end."""
    average = float("nan")
    with tqdm(steps, label, total, initial=first, mininterval=5) as bar:
        for done, value in bar:
            average = value if np.isnan(average) else 0.98 * average + 0.02 * value
            bar.set_postfix(loss=f"{average:.4f}", refresh=False)
            if done % every == 0 or done == total:
                checkpoint.save(done)


def train_autoencoder(config: dict, images: np.ndarray, work: Path, device: str) -> autoencoder.AutoencoderTiny:
    """The autoencoder, trained or taken from its last checkpoint."""
    settings = config["autoencoder"]
    torch.manual_seed(config["seed"])
    model = autoencoder.build(settings).to(device)
    optimizer = torch.optim.Adam(model.parameters(), settings["learning_rate"])
    checkpoint = Checkpoint(work / "autoencoder.pt", model=model, optimizer=optimizer)
    first = checkpoint.load()
    steps = autoencoder.steps(model, optimizer, images, settings, config["seed"], first)
    run(steps, checkpoint, config["checkpoint_every"], "autoencoder", first, settings["steps"])
    return model.eval()


@click.command()
@click.option("--config", "config_path", default=CONFIG, type=Path, show_default=True)
@click.option("--work", default=Path(".work/pretrain"), type=Path, show_default=True, help="Checkpoints.")
@click.option("--workers", default=2, show_default=True, help="Processes that draw scenes.")
def main(config_path: Path, work: Path, workers: int) -> None:
    """Train the embedded model, or go on where an earlier run stopped."""
    config = yaml.safe_load(config_path.read_text())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    captions, images = scenes.scenes(config["seed"], config["scenes"]["train"], workers)
    model = train_autoencoder(config, images, work, device)
    click.echo(f"autoencoder: {autoencoder.psnr(model, images[:512]):.1f} dB")


if __name__ == "__main__":
    main()
