"""CLIPScore (Hessel et al. 2021): no questions, one number for the whole prompt."""

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.clip import Similarity

PREFIX = "A photo depicts "  # with which its authors begin every text
WEIGHT = 2.5  # theirs as well: cosines of CLIP rarely exceed 0.4


class ClipScore(Similarity):
    """``2.5 max(0, cos(image, "A photo depicts " + prompt))``."""

    name = "clipscore"
    metric = "clipscore"
    range = (0.0, WEIGHT)

    def phrase(self, prompt: str) -> str:
        return PREFIX + prompt

    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return WEIGHT * np.maximum(cosines, 0.0)
