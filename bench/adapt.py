"""Train the embedded model on for a few minutes on scenes of another web: other shares of flaws, other captions."""

import copy
from pathlib import Path

import click
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from tqdm import tqdm

from versat2i.shapes.pretraining import autoencoder, denoiser, scenes
from versat2i.shapes.pretraining.optimizers import MuonAdamW
from versat2i.shapes.pretraining.pretrain import MODEL, export
from versat2i.shapes.world.flaws import GRADED

SCENES = 6_000
RECIPE = {
    "batch_size": 32,
    "learning_rate": 5e-4,
    "warmup": 20,
    "simple_steps": 1,
    "clean": [0, 0],
    "timestep_exponent": 2,
    "caption_dropout": 0.1,
    "ema": 0.98,
}
"""As the `denoiser` section of pretrain.yaml, whose training goes on by its own loop."""
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
    data = denoiser.Scenes(latents, tokens, torch.arange(len(latents)), empty, latents)
    model = denoiser.Generator(pipeline.text_encoder, pipeline.unet.to(memory_format=torch.channels_last)).train()
    average = copy.deepcopy(model).requires_grad_(False)
    training = RECIPE | {"steps": steps, "decays": [[RECIPE["warmup"], steps]]}
    done = denoiser.steps(model, average, MuonAdamW(model, weight_decay=0.01), data, training, SEED, 0)
    for _ in tqdm(done, total=steps, mininterval=10):
        pass
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
