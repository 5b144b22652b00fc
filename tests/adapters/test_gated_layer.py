"""A gated layer computes what its formula says, and its gate sums to one."""

import pytest
import torch
import torch.nn.functional as F
from mixed import CONV, INPUTS, TEXT_K, Q, attach

from versat2i.adapters.gated_layer import Gate, mix


def test_two_products_equal_the_loop_over_experts():
    ranks, generator = [2, 3, 1], torch.Generator().manual_seed(0)
    downs = [torch.randn(rank, 5, generator=generator) for rank in ranks]
    ups = [torch.randn(7, rank, generator=generator) for rank in ranks]
    x, gate = torch.randn(2, 4, 5, generator=generator), torch.rand(2, 4, 3, generator=generator)
    owner = torch.eye(3).repeat_interleave(torch.tensor(ranks), dim=1)
    loop = sum(gate[..., i : i + 1] * (x @ downs[i].T @ ups[i].T) for i in range(3))
    torch.testing.assert_close(mix(x, torch.cat(downs), torch.cat(ups, dim=1), gate, owner), loop)


@pytest.mark.parametrize("scope", INPUTS)
def test_mixed_layer_equals_its_formula_with_missing_experts(scope):
    _, mixed = attach(scope, spread=0.5)
    for module in (Q, TEXT_K):
        layer = mixed.layers[module]
        x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(3))
        gate = layer.gate(x).broadcast_to(2, 5, 3)
        expected = layer.base(x)
        for i, expert in enumerate(mixed.adapters):
            if module in expert.down:
                delta = x @ expert.down[module].T @ expert.up[module].T
                expected = expected + layer.gate.scale * gate[..., i : i + 1] * expert.scale * delta
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("scope", INPUTS)
def test_mixed_convolution_equals_its_formula_at_each_place(scope):
    _, mixed = attach(scope, spread=0.5)
    layer, expert = mixed.layers[CONV], mixed.adapters[1]
    x = torch.randn(2, layer.base.in_channels, 6, 5, generator=torch.Generator().manual_seed(3))
    gate = layer.gate(x.flatten(2).transpose(1, 2)).broadcast_to(2, 30, 3)[..., 1].unflatten(1, (6, 5))
    delta = F.conv2d(F.conv2d(x, expert.down[CONV], padding=1), expert.up[CONV])
    torch.testing.assert_close(layer(x), layer.base(x) + layer.gate.scale * gate[:, None] * expert.scale * delta)


@pytest.mark.parametrize(("scope", "shape"), [("token", (2, 5, 3)), ("image", (2, 1, 3)), ("layer", (3,))])
def test_gate_has_the_shape_of_its_scope_and_sums_to_one(scope, shape):
    gate, x = Gate(scope, experts=3, d_in=4), torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gate(x), torch.full(shape, 1 / 3))
    for parameter in gate.parameters():
        parameter.data += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    assert gate(x).shape == shape
    torch.testing.assert_close(gate(x).sum(dim=-1), torch.ones(shape[:-1]))
    assert not torch.allclose(gate(x), torch.full(shape, 1 / 3))
