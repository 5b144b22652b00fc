"""What people prefer, learned by fine-tuning a CLIP on their choices."""

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.clip import Similarity


class PickScore(Similarity):
    """``exp(logit_scale) cos(image, prompt)`` (Kirstain et al. 2023); the scale is at most 100 in a CLIP."""

    name = "pickscore"
    metric = "pickscore"
    range = (-100.0, 100.0)

    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.clip.scale * cosines


class HPSv2(Similarity):
    """``cos(image, prompt)`` (Wu et al. 2023), with weights in the format of transformers."""

    name = "hpsv2"
    metric = "hpsv2"
    range = (-1.0, 1.0)

    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return cosines
