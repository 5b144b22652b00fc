"""VQAScore (Lin et al. 2024): is the whole prompt shown, by one question and the probability of "Yes"."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Scores, score_batches
from versat2i.rewards.common.vlm import VisionLanguage

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ANSWER = "Yes"


class VqaScore:
    """``P("Yes" | image, 'Does this figure show "<prompt>"? Please answer yes or no.')``, of its first token."""

    name = "vqascore"
    metric = "vqascore"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self, model: str, dtype: str = "float32", batch_size: int = 8, trust_remote_code: bool = False
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
        """
        self.model, self.batch_size = VisionLanguage(model, dtype, trust_remote_code), batch_size
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        texts = [QUESTION.format(text) for text in prompts["text"]]

        def judge(places: NDArray[np.intp]) -> NDArray[np.float64]:
            (yes,) = self.model.first_tokens([ANSWER])
            logits = self.model.next_logits(images[places], [texts[place] for place in places])
            return logits.double().softmax(-1)[:, yes].numpy()

        return score_batches(images, self.batch_size, judge)
