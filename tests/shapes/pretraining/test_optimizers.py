import math

import pytest
import torch
from torch import nn

from versat2i.shapes.pretraining.optimizers import MuonAdamW, as_matrix, inner_weights


def backward(model, seed):
    images = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    model(images).square().mean().backward()


class Named(nn.Module):
    """A convolution between a first and a last one, then a linear layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv_in, self.conv, self.conv_out = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 6, 3), nn.Conv2d(6, 2, 1)
        self.linear = nn.Linear(2, 3, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, images):
        features = self.conv_out(self.conv(self.conv_in(images)).tanh())
        return self.linear(features.mean((2, 3)))


def test_a_kernel_as_a_matrix_shares_its_memory():
    kernel = torch.zeros(4, 3, 3, 3).to(memory_format=torch.channels_last)
    matrix = as_matrix(kernel)
    matrix[1, 5] = 7  # row and column 0, 1 of the window hold 3 channels each: number 5 is window 1, channel 2
    assert matrix.shape == (4, 27)
    assert kernel[1, 2, 0, 1] == 7 and kernel.count_nonzero() == 1


def test_the_first_and_the_last_layer_are_not_inner():
    model = Named()
    assert {id(weight) for weight in inner_weights(model)} == {id(model.conv.weight), id(model.linear.weight)}


def test_the_first_step_moves_inner_weights_along_an_orthogonal_matrix():
    """Its singular values are Muon's, about 1, times ``0.2 sqrt(max(rows, columns))``."""
    model = Named()
    before = [as_matrix(weight.detach()).clone() for weight in inner_weights(model)]
    optimizer = MuonAdamW(model, weight_decay=0.0)
    backward(model, 1)
    optimizer.step(0.5)
    for old, weight in zip(before, inner_weights(model), strict=True):
        moved = torch.linalg.svdvals(as_matrix(weight.detach()) - old)
        unit = 0.5 * 0.2 * math.sqrt(max(old.shape))
        assert moved.max() < 1.3 * unit
        assert moved[: min(old.shape) - 1].min() > 0.4 * unit  # the least may belong to no gradient at all


def test_other_weights_move_as_adamw_moves_them():
    """AdamW's first step is the learning rate, whatever the gradient."""
    model = Named()
    before = model.conv_in.weight.detach().clone()
    optimizer = MuonAdamW(model, weight_decay=0.0)
    backward(model, 2)
    optimizer.step(0.01)
    assert (model.conv_in.weight - before).abs().median().item() == pytest.approx(0.01, rel=1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_state_that_is_loaded_goes_on_to_the_same_weights():
    def run(model, optimizer, steps):
        for step in steps:
            backward(model, step)
            optimizer.step(0.01)

    straight, resumed = Named(), Named()
    first, second = (MuonAdamW(model, weight_decay=0.01) for model in (straight, resumed))
    run(straight, first, range(4))
    run(resumed, second, range(2))
    third = MuonAdamW(resumed, weight_decay=0.01)
    third.load_state_dict(second.state_dict())
    run(resumed, third, range(2, 4))
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
