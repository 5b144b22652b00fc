"""The network is the published one, layer by layer."""

from versat2i.rewards.geometry import pointnet


def test_the_network_is_the_published_one(net):
    ours = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert {name: tuple(value.shape) for name, value in ours.items()} == {
        name: (*shape, 1) if "conv" in name and name.endswith("weight") else shape
        for name, shape in pointnet.shapes().items()
    }
