"""An evaluator for versat2i: how bright an image is."""

import pandas as pd

from versat2i.rewards.common.base import Images, Scores, score_each


class Brightness:
    """Mean of all pixels, 0 to 1."""

    name, metric = "brightness", "brightness"
    higher_is_better, range = True, (0.0, 1.0)
    licence = "Apache-2.0"

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        return score_each(images, lambda image: float(image.mean() / 255))
