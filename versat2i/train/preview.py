"""A grid of what a model under training draws, for whoever watches it."""

import numpy as np
import torch
from numpy.typing import NDArray

from versat2i.models.diffusion import Backbone
from versat2i.train.examples import Examples

SEEDS = (0, 1)  # one image each
PROMPTS, STEPS, GUIDANCE = 4, 12, 4.0  # of a sample grid: enough to see a change, cheap enough to repeat


def samples(model: Backbone, examples: Examples) -> NDArray[np.uint8]:
    """A grid with a row a prompt and a column a seed, ``uint8 [rows * height, columns * width, 3]``."""
    prompts = min(PROMPTS, len(examples))
    rows = torch.arange(prompts).repeat_interleave(len(SEEDS))
    training = model.denoiser.training
    model.denoiser.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            size, scale = model.pixels(examples.latents.shape), GUIDANCE if model.guided else 1.0
            latents = model.draw(examples.prompts[rows], examples.empty, list(SEEDS) * prompts, STEPS, scale, size)
            images = model.decode(latents)
    finally:
        model.denoiser.train(training)
    height, width = images.shape[1:3]
    tiles = images.reshape(prompts, len(SEEDS), height, width, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(prompts * height, len(SEEDS) * width, 3)
