"""The published line-segment classifier, layer by layer in torch, on random weights."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn


def transform(size):
    """The layers that find a transform of so many numbers, by their published names."""
    widths = {"conv_1": (size, 64), "conv_2": (64, 128), "conv_3": (128, 256)}
    layers = {name: nn.Conv1d(*pair, 1) for name, pair in widths.items()}
    dense = {"fc_1": (256, 256), "fc_2": (256, 128), "fc_3": (128, size * size)}
    layers |= {name: nn.Linear(*pair) for name, pair in dense.items()}
    norms = {f"bn_{i}": nn.BatchNorm1d(width) for i, width in enumerate((64, 128, 256, 256, 128), 1)}
    return nn.ModuleDict(layers | norms)


def parts():
    """All layers by their published names, with the first weights that torch draws."""
    widths = (4, 64, 64, 64, 128, 256)
    base = {f"conv_{i}": nn.Conv1d(*pair, 1) for i, pair in enumerate(pairwise(widths), 1)}
    base |= {f"bn_{i}": nn.BatchNorm1d(width) for i, width in enumerate(widths[1:], 1)}
    base |= {"input_transform": transform(4), "feature_transform": transform(64)}
    head = {"fc_1": nn.Linear(256, 128), "fc_2": nn.Linear(128, 64), "fc_3": nn.Linear(64, 2)}
    head |= {"bn_1": nn.BatchNorm1d(128), "bn_2": nn.BatchNorm1d(64)}
    return nn.ModuleDict(head | {"base_pointnet": nn.ModuleDict(base)})


@torch.no_grad()
def network():
    """A random network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = parts().eval()
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d):  # as after training: no norm is the identity
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
    for layers in (made["base_pointnet"], made["base_pointnet"]["input_transform"]):
        layers["conv_1"].weight *= 0.2  # pixels of 0 to 256 make a difference, and do not drown the rest
    return made


def found_by(layers, x):
    """``x`` after a transform, ``[1, numbers, segments]``."""
    y = x
    for i in (1, 2, 3):
        y = layers[f"bn_{i}"](layers[f"conv_{i}"](y)).relu()
    y = y.max(2).values
    for i, norm in ((1, 4), (2, 5)):
        y = layers[f"bn_{norm}"](layers[f"fc_{i}"](y)).relu()
    matrix = layers["fc_3"](y).reshape(x.shape[1], x.shape[1]) + torch.eye(x.shape[1])
    return (x[0].T @ matrix).T[None]


def real(net, segments):
    """The probability of the first class for one set of segments, filled up to 250 with segments that are there."""
    filled = np.concatenate([segments, segments[np.random.default_rng(1).choice(len(segments), 250 - len(segments))]])
    base = net["base_pointnet"]
    with torch.no_grad():
        x = found_by(base["input_transform"], torch.tensor(filled, dtype=torch.float32).T[None])
        for i in (1, 2):
            x = base[f"bn_{i}"](base[f"conv_{i}"](x)).relu()
        x = found_by(base["feature_transform"], x)
        for i in (3, 4, 5):
            x = base[f"bn_{i}"](base[f"conv_{i}"](x)).relu()
        x = x.max(2).values
        for i in (1, 2):
            x = net[f"bn_{i}"](net[f"fc_{i}"](x)).relu()
        return net["fc_3"](x).softmax(-1)[0, 0].item()
