"""A score without meaning: the expert trained on its picks shows what self-distillation alone does."""

import hashlib

from versat2i.rewards.common.base import Image, PerImage
from versat2i.seeds import stable_seed


def _number(image: Image) -> float:
    """A number in [0, 1) from the shape and the pixels: 53 bits, as many as a float holds."""
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return (stable_seed(*image.shape, pixels) >> 10) / 2**53


class Random(PerImage):
    """A stable hash of the image: the same on every machine, unlike for any two images."""

    name, metric, judge = "random", "random", staticmethod(_number)
