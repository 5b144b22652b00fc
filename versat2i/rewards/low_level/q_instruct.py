"""Q-Instruct (Wu et al. 2024): a vision-language model's next word about the quality of an image."""

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE
from versat2i.rewards.common.levels import Scale
from versat2i.rewards.common.vlm import LLAVA_V1, VisionLanguage

QUESTION = "Rate the quality of the image."
LEVELS = {  # Q-Boost (Zhang et al. 2024) adds the synonyms
    1.0: ("good", "high", "fine"),
    0.5: ("average", "medium", "acceptable"),
    0.0: ("poor", "low", "bad"),
}


class QInstruct(Scale):
    """``sum_i w_i softmax_i(l)`` with l the logits of "good", "average", "poor" as next word and w = 1, 1/2, 0.

    Models tuned by Q-Instruct begin their answer with one of them. One that is not is helped along by the beginning of
    a sentence, as Q-Bench (Wu et al. 2024) has it: ``stem="The quality of the image is"``.
    """

    name = "q_instruct"
    metric = "q_instruct"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}, Q-Instruct's own are non-commercial"

    def __init__(
        self,
        model: str,
        dtype: str = "float32",
        batch_size: int = 8,
        synonyms: bool = False,
        stem: str = "",
        average: bool = True,
        system: str | None = None,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            synonyms: each l is the mean over three words of one meaning: good, high, fine; average, medium,
                acceptable; poor, low, bad.
            stem: with what the answer begins.
            average: whether there is a level between good and poor, as in Q-Instruct's scorer; Q-Bench has none.
            system: what the chat begins with; None: for LLaVA 1.5 as Q-Bench has it, "": nothing.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
        """
        self.model = VisionLanguage(model, dtype, trust_remote_code, system, LLAVA_V1, device=device)
        self.batch_size, self.weights = batch_size, [self.model.weights]
        self.question, self.stem = QUESTION, stem
        self.values = [level for level in LEVELS if average or level != 0.5]
        self.words = [LEVELS[level][: 3 if synonyms else 1] for level in self.values]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}, Q-Instruct's own are non-commercial"
