"""A score without meaning: the expert trained on its picks shows what self-distillation alone does."""

import hashlib

from versat2i.rewards.common.base import OWN_LICENCE, Image, Images, Prompt, Verdicts
from versat2i.seeds import stable_seed


def _number(image: Image) -> float:
    """A number in [0, 1) from the shape and the pixels: 53 bits, as many as a float holds."""
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return (stable_seed(*image.shape, pixels) >> 10) / 2**53


class Random:
    """A stable hash of the image: the same on every machine, unlike for any two images."""

    name = "random"
    metric = "random"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = OWN_LICENCE

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [_number(image) for image in images]
