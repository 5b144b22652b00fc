"""Train the embedded model from nothing: tokenizer, autoencoder, then text encoder and denoiser.

Every draw of a step is a function of (seed, step), so a run that was stopped goes on from its last
checkpoint as if it had never been.
"""

import copy
import json
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import torch
import yaml
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from tqdm import tqdm
from transformers import CLIPTokenizer

from versat2i.shapes.pretraining import autoencoder, denoiser, scenes
from versat2i.shapes.pretraining.optimizers import MuonAdamW
from versat2i.shapes.world import grammar

CONFIG = Path(__file__).with_suffix(".yaml")
MODEL = Path(__file__).parents[1] / "model"


class Checkpoint:
    """Modules and optimizer on disk, replaced as a whole."""

    def __init__(self, path: Path, **parts: torch.nn.Module | torch.optim.Optimizer | MuonAdamW) -> None:
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


def run(
    steps: Iterable[tuple[int, float]], checkpoint: Checkpoint, every: int, label: str, first: int, total: int
) -> None:
    """Drive a training loop: a progress bar, and a checkpoint every `every` steps and at the end."""
    average = float("nan")
    with tqdm(steps, label, total, initial=first, mininterval=5) as bar:
        for done, value in bar:
            average = value if np.isnan(average) else 0.98 * average + 0.02 * value
            bar.set_postfix(loss=f"{average:.4f}", refresh=False)
            if done % every == 0 or done == total:
                checkpoint.save(done)


def train_autoencoder(config: dict, images: np.ndarray, work: Path, device: str) -> AutoencoderTiny:
    """The autoencoder, trained or taken from its last checkpoint."""
    settings = config["autoencoder"]
    torch.manual_seed(config["seed"])
    model = autoencoder.build(settings).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), settings["learning_rate"])
    checkpoint = Checkpoint(work / "autoencoder.pt", model=model, optimizer=optimizer)
    first = checkpoint.load()
    steps = autoencoder.steps(model, optimizer, images, settings, config["seed"], first)
    run(steps, checkpoint, config["checkpoint_every"], "autoencoder", first, settings["steps"])
    return model.eval()


def train_decoder(config: dict, model: AutoencoderTiny, images: np.ndarray, work: Path, device: str) -> AutoencoderTiny:
    """Train the decoder alone, or take it from its last checkpoint: the encoder and all latents stay as they are."""
    settings = config["autoencoder"] | config["decoder"]
    model.encoder.requires_grad_(False)
    optimizer = torch.optim.Adam(model.decoder.parameters(), settings["learning_rate"])
    checkpoint = Checkpoint(work / "decoder.pt", model=model, optimizer=optimizer)
    first = checkpoint.load()
    steps = autoencoder.steps(model.train(), optimizer, images, settings, config["seed"], first)
    run(steps, checkpoint, config["checkpoint_every"], "decoder", first, settings["steps"])
    return model.eval()


def encode(vae: AutoencoderTiny, images: np.ndarray, path: Path) -> torch.Tensor:
    """Latents of all scenes, made once: the autoencoder is final by now."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        torch.save(autoencoder.encode(vae, images), partial)
        partial.replace(path)
    return torch.load(path, weights_only=True)


def train_tokenizer(config: dict, captions: list[str], folder: Path) -> CLIPTokenizer:
    """The tokenizer, made or taken from an earlier run: its ids must never change under a checkpoint."""
    if not folder.exists():
        denoiser.build_tokenizer(config["tokenizer"], captions).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def train_denoiser(
    config: dict, latents: torch.Tensor, clean: torch.Tensor, captions: list[str], work: Path, device: str
) -> tuple[CLIPTokenizer, denoiser.Generator]:
    """Tokenizer and the averaged text encoder and UNet, trained or taken from the last checkpoint."""
    settings = config["denoiser"]
    tokenizer = train_tokenizer(config, captions, work / "tokenizer")
    torch.manual_seed(config["seed"])
    text_encoder = denoiser.build_text_encoder(config["text_encoder"], tokenizer)
    unet = denoiser.build_unet(settings, config["text_encoder"]["hidden"], latents.shape[1])
    model = denoiser.Generator(text_encoder, unet).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = MuonAdamW(model, weight_decay=0.01)
    checkpoint = Checkpoint(work / "denoiser.pt", model=model, average=average, optimizer=optimizer)
    first = checkpoint.load()
    simple = [row for row, caption in enumerate(captions) if len(grammar.parse(caption).groups) == 1]
    drawn = denoiser.Scenes(
        latents,
        denoiser.tokenize(tokenizer, captions),
        torch.tensor(simple),
        denoiser.tokenize(tokenizer, [""])[0],
        clean,
    )
    steps = denoiser.steps(model, average, optimizer, drawn, settings, config["seed"], first)
    run(steps, checkpoint, config["checkpoint_every"], "denoiser", first, settings["steps"])
    return tokenizer, average.eval()


def export(folder: Path, vae: AutoencoderTiny, tokenizer: CLIPTokenizer, model: denoiser.Generator) -> None:
    """Write the parts as an ordinary diffusers folder, weights in float16."""
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=model.text_encoder.half(),
        tokenizer=tokenizer,
        unet=model.unet.half(),
        scheduler=denoiser.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    # transformers loads in the dtype of its config, diffusers in float32: they must agree
    _edit(folder / "text_encoder" / "config.json", dtype="float32")
    _edit(folder / "vae" / "config.json", block_out_channels=None)  # its own loader does not know it


def _edit(path: Path, **changes: str | None) -> None:
    """Change keys of a JSON file; None takes one out."""
    content = json.loads(path.read_text()) | changes
    kept = {key: value for key, value in content.items() if not (key in changes and value is None)}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


@click.command()
@click.option("--config", "config_path", default=CONFIG, type=Path, show_default=True)
@click.option("--work", default=Path(".pretrain"), type=Path, show_default=True, help="Checkpoints.")
@click.option("--out", default=MODEL, type=Path, show_default=True, help="The diffusers folder to write.")
@click.option("--workers", default=2, show_default=True, help="Processes that draw scenes.")
def main(config_path: Path, work: Path, out: Path, workers: int) -> None:
    """Train the embedded model, or go on where an earlier run stopped.

    \b
    Example:
        python -m versat2i.shapes.pretraining.pretrain --out /tmp/model
    """
    config = yaml.safe_load(config_path.read_text())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    captions, images = scenes.cached(config["seed"], config["scenes"]["train"], workers, work)
    vae = train_autoencoder(config, images, work, device)
    click.echo(f"autoencoder: {autoencoder.psnr(vae, images[:512]):.1f} dB on scenes it was trained on")
    latents = encode(vae, images, work / "latents.pt")
    _, perfect = scenes.cached(config["seed"], config["scenes"]["train"], workers, work, clean=True)
    clean = encode(vae, perfect, work / "clean-latents.pt")
    vae = train_decoder(config, vae, np.concatenate([images, perfect]), work, device)
    seen, clear = autoencoder.psnr(vae, images[:512]), autoencoder.psnr(vae, perfect[:512])
    click.echo(f"decoder trained on: {seen:.1f} dB, on clean scenes {clear:.1f} dB")
    tokenizer, model = train_denoiser(config, latents, clean, captions, work, device)
    export(out, vae, tokenizer, model)
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
