"""A training small enough to follow by hand: one weight vector is drawn to numbers."""

import drawn
import torch
from torch import nn

from versat2i.models.diffusion import Embeddings
from versat2i.settings.training import Training
from versat2i.train import loop
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples


def rule(**changes):
    defaults = drawn.TRAINING | {
        "steps": 6,
        "batch_size": 3,
        "learning_rate": 0.1,
        "caption_dropout": 0.0,
        "checkpoint_every": 2,
    }
    return Training(**(defaults | changes))


def examples(amount=7):
    """Example i holds latents i and embeddings i + 1; the empty prompt is all zero."""
    numbers = torch.arange(amount, dtype=torch.float32)
    latents = numbers[:, None, None, None].expand(-1, 1, 2, 2)
    hidden = (numbers + 1)[:, None, None].expand(-1, 3, 4)
    empty = Embeddings(torch.zeros(1, 3, 4), torch.tensor([[True, False, False]]))
    prompts = Embeddings(hidden, torch.ones(amount, 3, dtype=torch.bool))
    return Examples(latents, prompts, empty, weights=numbers + 2)


class Run:
    """Training of one weight vector towards each batch's latents plus noise.

    Attributes:
        at: called with the number of each step before its loss.
    """

    def __init__(self, folder, at=lambda step: None, **changes):
        self.weight = nn.Parameter(torch.zeros(4))
        self.checkpoint, self.settings = Checkpoint(folder / "run.pt"), rule(**changes)
        self.at, self.step = at, len((self.checkpoint.load() or {"losses": []})["losses"])

    def loss(self, batch, generator):
        self.at(self.step)
        self.step += 1
        target = batch.latents.flatten(1) + torch.randn(len(batch), 4, generator=generator)
        return (self.weight - target).square().mean()

    def train(self):
        return loop.train([self.weight], self.loss, examples(), self.settings, 0, self.checkpoint, "run")


class Killed(Exception):
    pass


def kill(at):
    def strike(step):
        if step == at:
            raise Killed

    return strike


class Steep(torch.autograd.Function):
    """Zero, with a gradient that is no number."""

    @staticmethod
    def forward(ctx, weight):
        return weight.sum() * 0

    @staticmethod
    def backward(ctx, gradient):
        return torch.full((4,), torch.nan)
