"""How many different images the candidates of a prompt are: the Vendi score (Friedman and Dieng 2023)."""

import numpy as np

from versat2i.rewards.common.base import Images, Prompt, Verdicts, batches
from versat2i.rewards.originality.embedders import Embedded, Vectors

ALONE = "the only image of its prompt"


def vendi(vectors: Vectors) -> float:
    """``exp(-sum_i l_i log l_i)``, l the eigenvalues of ``E E^T / n``: 1 if all are alike, n if all are unlike.

    Args:
        vectors: E, ``[n, d]``, each of length one.
    """
    found = np.linalg.eigvalsh(vectors @ vectors.T / len(vectors))
    shares = found[found > 1e-12]  # of rounding; 0 log 0 is 0
    return float(np.exp(-(shares * np.log(shares)).sum()))


def gains(vectors: Vectors) -> list[float]:
    """``V(all) - V(all but i)`` of each image i: how many different images it adds; a copy may be below 0."""
    whole = vendi(vectors)
    return [whole - vendi(np.delete(vectors, place, axis=0)) for place in range(len(vectors))]


class _OfAGroup(Embedded):
    """An evaluator of all images of a prompt, by their vectors."""

    grouped = True

    def vectors(self, images: Images, prompts: list[Prompt]) -> Vectors:
        """The vectors of all images, some at a time."""
        return np.concatenate([self.embedder.embed(some) for some, _ in batches(self.batch_size, images, prompts)])


class Siblings(_OfAGroup):
    """`gains` of an image over the other candidates of its prompt: the least usual one is the best."""

    name = "siblings"
    metric = "sibling_gain"
    range = (-np.inf, np.inf)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if len(images) < 2:
            return [ALONE] * len(images)
        return list(gains(self.vectors(images, prompts)))


class Vendi(_OfAGroup):
    """`vendi` of all images of a prompt, the same for each: a judge of collapse, which ranks no candidates."""

    name = "vendi"
    metric = "vendi"
    range = (1.0, np.inf)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if len(images) < 2:
            return [ALONE] * len(images)
        return [max(1.0, vendi(self.vectors(images, prompts)))] * len(images)
