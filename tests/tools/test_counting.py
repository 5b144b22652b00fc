"""Operations and bytes are those that follow from shapes by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from versat2i.tools.counting import counted

META = torch.device("meta")


def empty(*shape, dtype=torch.float32):
    return torch.empty(*shape, dtype=dtype, device=META)


def test_a_linear_layer_has_two_operations_a_weight_and_row():
    layer = nn.Linear(8, 16, device=META)
    found = counted(lambda: layer(empty(4, 8)))
    assert found.flops == 2 * 4 * 8 * 16


def test_a_convolution_has_two_operations_a_weight_and_place():
    layer = nn.Conv2d(3, 5, 3, padding=1, device=META)
    found = counted(lambda: layer(empty(2, 3, 10, 6)))
    assert found.flops == 2 * 2 * (3 * 5 * 3 * 3) * 10 * 6


@pytest.mark.parametrize("masked", [False, True])
def test_attention_has_two_products_and_no_table_of_scores(masked):
    batch, heads, tokens, width = 2, 3, 1000, 4
    query, key, value = (empty(batch, heads, tokens, width) for _ in range(3))
    mask = torch.ones(batch, 1, 1, tokens, dtype=torch.bool) if masked else None  # of the CPU, as a text's is
    with torch.no_grad():
        found = counted(lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=mask))
    assert found.flops == 2 * 2 * batch * heads * tokens * tokens * width
    assert found.peak < 4 * batch * heads * tokens * tokens / 10


def test_heads_that_share_keys_cost_as_if_each_had_its_own():
    query, key = empty(1, 4, 10, 8), empty(1, 2, 10, 8)
    with torch.no_grad():
        found = counted(lambda: F.scaled_dot_product_attention(query, key, key, enable_gqa=True))
    assert found.flops == 2 * 2 * 4 * 10 * 10 * 8


def test_the_way_back_has_a_product_for_the_input_and_one_for_the_weight():
    """Of a frozen layer the first alone."""
    first, second = nn.Linear(8, 8, device=META), nn.Linear(8, 8, device=META).requires_grad_(False)
    found = counted(lambda: second(first(empty(4, 8))).sum().backward())
    product = 2 * 4 * 8 * 8
    assert found.flops == 2 * product + (product + product)  # the input of all needs no gradient


def test_layers_that_are_computed_again_count_again_and_hold_less():
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(8))).to(META)
    start = empty(100, 64).requires_grad_()

    def whole():
        layers(start).sum().backward()

    def again():
        held = start
        for layer in layers:
            held = checkpoint(layer, held, use_reentrant=False)
        held.sum().backward()

    kept, recomputed = counted(whole), counted(again)
    # one product a block: the second's result is not needed on the way back, and torch stops before it
    assert recomputed.flops - kept.flops == 8 * 2 * 100 * 64 * 64
    assert recomputed.peak < kept.peak  # most of both: gradients of the weights


def test_what_was_computed_again_is_let_go_after_its_layer():
    """Three tensors of a layer at once, and an input kept of each; not the tensors of all layers."""

    def peak(amount):
        layers = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(amount)))
        layers, start = layers.to(META).requires_grad_(False), empty(1000, 64).requires_grad_()

        def step():
            held = start
            for layer in layers:
                held = checkpoint(layer, held, use_reentrant=False)
            held.sum().backward()

        return counted(step).peak

    assert peak(20) - peak(10) == 10 * 4 * 1000 * 64


def test_attention_is_computed_again_by_the_same_kernel():
    query = empty(1, 1, 500, 8).requires_grad_()

    def step():
        checkpoint(lambda q: F.scaled_dot_product_attention(q, q, q) * 2, query, use_reentrant=False).sum().backward()

    assert counted(step).peak < 4 * 500 * 500 / 4


def test_the_peak_is_what_is_held_at_once():
    """Two of three tensors: the first is let go before the third is made. What was there before does not count."""
    start = empty(1000)

    def step():
        first = start + 1
        second = first.to(torch.float16)
        del first
        return second.double()

    assert counted(step).peak == 1000 * (2 + 8)


def test_views_and_what_is_given_hold_nothing():
    start = empty(1000)
    assert counted(lambda: start.view(10, 100).T[1:]).peak == 0


def test_torch_is_as_before():
    attention, autocast = F.scaled_dot_product_attention, torch.autocast
    with pytest.raises(RuntimeError):
        counted(lambda: empty(2, 3) @ empty(2, 3))
    assert F.scaled_dot_product_attention is attention and torch.autocast is autocast
