"""A configuration that trains the embedded model in seconds, and its first scenes."""

import copy
import random

import tiny

from versat2i.seeds import stable_seed
from versat2i.shapes.world import grammar

AUTOENCODER = {"latent_noise": 0.05, "steps": 3, "batch_size": 2, "crop": 32, "learning_rate": 0.002}


DENOISER = {
    "steps": 3,
    "batch_size": 2,
    "learning_rate": 0.01,
    "warmup": 2,
    "decays": [[2, 3]],
    "clean": [1, 2],
    "simple_steps": 2,
    "timestep_exponent": 2,
    "caption_dropout": 0.5,
    "ema": 0.9,
}


CONFIG = copy.deepcopy(tiny.CONFIG) | {"seed": 0, "scenes": {"train": 6}, "checkpoint_every": 1}


CONFIG["autoencoder"] |= AUTOENCODER
CONFIG["denoiser"] |= DENOISER
CONFIG["decoder"] = {"steps": 2, "learning_rate": 0.001}


def captions(amount):
    """The captions of the first scenes, without drawing them."""
    rngs = [random.Random(stable_seed(0, "scene", index)) for index in range(amount)]
    return [grammar.phrase(grammar.sample(rng), rng) for rng in rngs]
