"""Train the embedded model on for a few minutes on scenes of another web: other shares of flaws, other captions."""

import copy
import math
from pathlib import Path

import click
import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from tqdm import trange

from versat2i.seeds import stable_seed
from versat2i.shapes.pretraining import autoencoder, denoiser, scenes
from versat2i.shapes.pretraining.pretrain import MODEL, export
from versat2i.shapes.world.flaws import GRADED

SCENES, BATCH = 6_000, 32
RATE, WARMUP, AVERAGE = 5e-4, 20, 0.98
SEED = 2  # of the scenes: none of them is a training scene of the model


def web(flaws: float, graded: float, wrong: float) -> scenes.Web:
    """A web in which that share of the scenes has at least half of a flaw, of each flaw."""
    return scenes.Web(absent=max(0.0, 1 - flaws - graded / 2), graded=graded, wrong=wrong)


def adapt(pipeline: StableDiffusionPipeline, which: scenes.Web, steps: int) -> denoiser.Generator:
    """Text encoder and denoiser after some steps on scenes of a web, averaged; the rate falls to zero as a cosine."""
    imagined = [scenes.imagine(SEED, index, which) for index in range(SCENES)]
    latents = autoencoder.encode(pipeline.vae, np.stack([each.draw() for each in imagined]))
    tokens = denoiser.tokenize(pipeline.tokenizer, [each.caption for each in imagined])
    empty = denoiser.tokenize(pipeline.tokenizer, [""])[0]
    data = denoiser.Scenes(latents, tokens, torch.arange(len(latents)), empty)
    model = denoiser.Generator(pipeline.text_encoder, pipeline.unet.to(memory_format=torch.channels_last)).train()
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    scheduler = DDPMScheduler.from_config(denoiser.build_scheduler().config)
    for step in trange(steps, mininterval=10):
        generator = torch.Generator().manual_seed(stable_seed(SEED, "adapt", step))
        clean, words = data.batch(BATCH, 0.0, 0.1, generator)
        noise = torch.randn(clean.shape, generator=generator)
        times = denoiser.draw_timesteps(BATCH, scheduler.config.num_train_timesteps, 2, generator)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        denoiser.velocity_loss(model, clean, noise, times, words, scheduler).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        denoiser.update_average(average, model, min(AVERAGE, (step + 1) / (step + 10)))
    return average.eval()


@click.command()
@click.argument("out", type=Path)
@click.option("--base", default=MODEL, type=Path, show_default=True, help="The model to train on.")
@click.option("--flaws", default=0.5, show_default=True, help="Share of scenes with at least half of a flaw, of each.")
@click.option("--graded", default=GRADED, show_default=True, help="Share of scenes with a part of a flaw, of each.")
@click.option("--wrong", default=0.45, show_default=True, help="Share of captions with a mistake.")
@click.option("--steps", default=400, show_default=True)
def main(out: Path, base: Path, flaws: float, graded: float, wrong: float, steps: int) -> None:
    """Write to OUT what the embedded model becomes on scenes of another web.

    \b
    Example:
        python -m bench.adapt .study/bases/few-flaws --flaws 0.1
    """
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    model = adapt(pipeline, web(flaws, graded, wrong), steps)
    export(out, pipeline.vae, pipeline.tokenizer, model)
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
