"""PIQE (Venkatanath et al. 2015), a blind measure of distortion without weights, as pyiqa has it."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from versat2i.rewards.base import Image, Images, Scores, score_each

MIN_ACTIVE = 32  # blocks of 16x16 pixels with texture in them; a photograph of 512x512 has hundreds


@cache
def _metric() -> Any:
    import pyiqa  # heavy

    return pyiqa.create_metric("piqe", device="cpu")


def _distortion(image: Image) -> float | str:
    """PIQE looks at the blocks that have texture: with few of them it tells their number, not the quality.

    Drawings of 64x64 pixels have 0 to 7 such blocks and get 93 of 100 clean, but 27 with noise.
    """
    import torch  # heavy

    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None] / 255
    metric = _metric()
    value = float(metric(pixels))
    if not np.isfinite(value):
        return "PIQE is not finite"
    *_, activity = metric.net.results  # of each pixel's block
    active = int(activity.sum()) // 16**2
    return value if active >= MIN_ACTIVE else f"fewer than {MIN_ACTIVE} blocks of 16x16 pixels have texture"


class Piqe:
    """Share of visible distortion in the blocks that the eye goes to, 0 to 100, lower is better."""

    name = "piqe"
    metric = "piqe"
    higher_is_better = False
    range = (0.0, 100.0)
    licence = "pyiqa: PolyForm-Noncommercial-1.0.0"

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        return score_each(images, _distortion)
