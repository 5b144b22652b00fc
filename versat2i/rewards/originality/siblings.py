"""How many different images the candidates of a prompt are: the Vendi score (Friedman and Dieng 2023)."""

import numpy as np

from versat2i.rewards.common.base import Images, Prompt, Verdicts
from versat2i.rewards.originality import embedders
from versat2i.rewards.originality.embedders import Vectors

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


class _OfAGroup:
    """An evaluator of all images of a prompt, by their vectors."""

    grouped = True
    higher_is_better = True
    licence = f"{embedders.OWN_LICENCE}; {embedders.weights.LICENCE}"

    def __init__(
        self,
        embedder: str,
        dtype: str = "float32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            embedder: what makes vectors of images: ``shapes``, or a model, a folder or ``repository@revision``.
            dtype: of the model: float32, float16 or bfloat16.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
        """
        self.embedder, self._batch_size = embedders.load(embedder, dtype, trust_remote_code, device), batch_size
        self.weights, self.licence = self.embedder.weights, self.embedder.licence

    def vectors(self, images: Images) -> Vectors:
        """The vectors of all images, some at a time."""
        starts = range(0, len(images), self._batch_size)
        return np.concatenate([self.embedder.embed(images[start : start + self._batch_size]) for start in starts])


class Siblings(_OfAGroup):
    """`gains` of an image over the other candidates of its prompt: the least usual one is the best."""

    name = "siblings"
    metric = "sibling_gain"
    range = (-np.inf, np.inf)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if len(images) < 2:
            return [ALONE] * len(images)
        return list(gains(self.vectors(images)))


class Vendi(_OfAGroup):
    """`vendi` of all images of a prompt, the same for each: a judge of collapse, which ranks no candidates."""

    name = "vendi"
    metric = "vendi"
    range = (1.0, np.inf)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if len(images) < 2:
            return [ALONE] * len(images)
        return [max(1.0, vendi(self.vectors(images)))] * len(images)
