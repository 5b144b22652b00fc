"""VQAScore (Lin et al. 2024): is the whole prompt shown, by one question and the probability of "Yes"."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Scores, score_batches
from versat2i.rewards.common.vlm import VICUNA_V1, VisionLanguage

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ANSWER = "Yes"


class VqaScore:
    """``(prod_i P(a_i | image, question, a_1 ... a_{i-1}))^(1/n)``, a the tokens of "Yes" and perhaps the end.

    The question is 'Does this figure show "<prompt>"? Please answer yes or no.' The paper's formula is P("Yes"), the
    published code adds the token that ends the answer for LLaVA 1.5 and encoder-decoders (CLIP-FlanT5, InstructBLIP),
    which gives about ``sqrt(P("Yes") P(end | "Yes"))``, and has P("Yes") for later models.
    """

    name = "vqascore"
    metric = "vqascore"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        model: str,
        dtype: str = "float32",
        batch_size: int = 8,
        end: bool | None = None,
        system: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            end: whether the token that ends the answer counts; None: as the published code has it for the model.
            system: what the chat begins with; None: as the published code has it for the model, "": nothing.
            trust_remote_code: whether code that comes with the model may be run.
        """
        self.model, self.batch_size = VisionLanguage(model, dtype, trust_remote_code, system, VICUNA_V1), batch_size
        self._end = end
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def _answer(self, text: str) -> list[int]:
        """The tokens whose probabilities count."""
        ends = self.model.is_llava or self.model.encodes if self._end is None else self._end
        return self.model.answer_tokens(ANSWER, text) + [self.model.end] * ends

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        texts = [QUESTION.format(text) for text in prompts["text"]]

        def judge(places: NDArray[np.intp]) -> NDArray[np.float64]:
            asked = [texts[place] for place in places]
            found = self.model.log_probabilities(images[places], asked, self._answer(asked[0]))
            return found.mean(1).exp().numpy()

        return score_batches(images, self.batch_size, judge)
