"""The network is the published one, layer by layer."""

import pytest
import torch

from versat2i.rewards.geometry import pointnet


def test_the_network_is_the_published_one(net):
    ours = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert {name: tuple(value.shape) for name, value in ours.items()} == {
        name: (*shape, 1) if "conv" in name and name.endswith("weight") else shape
        for name, shape in pointnet.shapes().items()
    }


def test_without_weights_only_the_last_bias_speaks():
    weights = {name: torch.zeros(shape) for name, shape in pointnet.shapes().items()}
    weights |= {name: torch.ones(shape) for name, shape in pointnet.shapes().items() if name.endswith("running_var")}
    weights["fc_3.bias"] = torch.tensor([0.25, -1.5])
    assert pointnet.logits(torch.rand(3, 10, 4), weights).tolist() == [[0.25, -1.5]] * 3


def test_neither_the_order_of_segments_nor_one_that_is_there_twice_matters(net):
    weights = pointnet.checked(net.state_dict())
    segments = 256 * torch.rand(1, 20, 4, generator=torch.Generator().manual_seed(0))
    once = pointnet.logits(segments, weights)
    again = pointnet.logits(torch.cat([segments.flip(1), segments[:, 3:5]], 1), weights)
    torch.testing.assert_close(again, once)
    assert not torch.allclose(pointnet.logits(segments[:, :10], weights), once)


def test_weights_that_are_missing_or_of_another_shape_are_named(net):
    state = net.state_dict()
    with pytest.raises(ValueError, match=r"^fc_3.bias is missing, expected \[2\]$"):
        pointnet.checked({name: value for name, value in state.items() if name != "fc_3.bias"})
    with pytest.raises(ValueError, match=r"^fc_1.weight has the shape \[128, 255\], expected \[128, 256\]$"):
        pointnet.checked(state | {"fc_1.weight": torch.zeros(128, 255)})
