"""PIQE (Venkatanath et al. 2015), a blind measure of distortion without weights, as pyiqa has it."""

import numpy as np
import pandas as pd

from versat2i.rewards.common.base import Image, Images, Scores, score_each
from versat2i.rewards.common.iqa import LICENCE, Metric

MIN_ACTIVE = 32  # blocks of 16x16 pixels with texture in them; a photograph of 512x512 has hundreds


class Piqe(Metric):
    """Share of visible distortion in the blocks that the eye goes to, 0 to 100, lower is better."""

    licence = LICENCE  # it has no weights

    def __init__(self) -> None:
        super().__init__("piqe")
        self.name = "piqe"

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        return score_each(images, self._distortion)

    def _distortion(self, image: Image) -> float | str:
        """PIQE looks at the blocks that have texture: with few of them it tells their number, not the quality.

        Drawings of 64x64 pixels have 0 to 7 such blocks and get 93 of 100 clean, but 27 with noise.
        """
        (value,) = self.values(image[None])
        if not np.isfinite(value):
            return "PIQE is not finite"
        *_, activity = self.model.net.results  # of each pixel's block
        active = int(activity.sum()) // 16**2
        return float(value) if active >= MIN_ACTIVE else f"fewer than {MIN_ACTIVE} blocks of 16x16 pixels have texture"
