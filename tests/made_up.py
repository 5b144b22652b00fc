"""Numbers that are the same on every machine and in every version: weights and inputs of recorded outputs."""

import zlib

import numpy as np
from numpy.typing import NDArray


def noise(seed: float, *shape: int) -> NDArray[np.float64]:
    """Digits of a sine that nothing relates to each other, in [-1, 1)."""
    places = np.arange(int(np.prod(shape)), dtype=np.float64)
    return (np.sin(places * 12.9898 + seed * 78.233) * 43758.5453 % 2 - 1).reshape(shape)


def weight(name: str, shape: tuple[int, ...], scale: float) -> NDArray[np.float64]:
    """A weight by its name: matrices as large as the number of their inputs asks for, variances positive."""
    made = noise(zlib.crc32(name.encode()) % 1000, *shape)
    if name.endswith("running_var"):
        return np.abs(made) + 0.5
    return made * scale * (3 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else made * 0.3


def filled(module, scale: float):
    """A module of torch with these weights."""
    import torch

    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.tensor(weight(name, tuple(value.shape), scale)))
    return module.eval()
