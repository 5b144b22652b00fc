"""VQAScore (Lin et al. 2024): is the whole prompt shown, by one question and the probability of "Yes"."""

from collections.abc import Mapping

from versat2i.rewards.common.base import Images, Prompt, Verdicts, batches
from versat2i.rewards.common.reached import Reached
from versat2i.rewards.common.served import Question
from versat2i.rewards.common.vlm import VICUNA_V1, Asked
from versat2i.settings.compute import NOWHERE, Server

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ANSWER = "Yes"


class VqaScore(Reached):
    """``(prod_i P(a_i | image, question, a_1 ... a_{i-1}))^(1/n)``, a the tokens of "Yes" and perhaps the end.

    The question is 'Does this figure show "<prompt>"? Please answer yes or no.' The paper's formula is P("Yes"), the
    published code adds the token that ends the answer for LLaVA 1.5 and encoder-decoders (CLIP-FlanT5, InstructBLIP),
    which gives about ``sqrt(P("Yes") P(end | "Yes"))``, and has P("Yes") for later models.
    """

    name = "vqascore"
    metric = "vqascore"
    higher_is_better = True
    range = (0.0, 1.0)

    def __init__(
        self,
        model: str,
        dtype: str = "float32",
        batch_size: int = 8,
        end: bool | None = None,
        system: str | None = None,
        trust_remote_code: bool = False,
        server: str | None = None,
        device: str = "cpu",
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``; with `server` its name there.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            end: whether the token that ends the answer counts; None: as the published code has it for the model.
            system: what the chat begins with; None: as the published code has it for the model, "": nothing.
            trust_remote_code: whether code that comes with the model may be run.
            server: where the model is served, by its name in compute.yaml; None: it is loaded here.
            device: to compute on.
            servers: where models are served.

        Raises:
            ValueError: the end of the answer is to count at a server, which does not give its probability.
        """
        self.batch_size, self._end = batch_size, end
        if server is not None and end:
            raise ValueError('vqascore: end: true needs a model that is loaded here; a server gives P("Yes") alone')
        self.reach(model, dtype, trust_remote_code, system, VICUNA_V1, device, server, servers)

    def asks(self, prompt: str) -> Asked:
        return Asked(QUESTION.format(prompt), "", [ANSWER, "No"])

    def _answer(self, text: str) -> list[int]:
        """The tokens whose probabilities count."""
        ends = self.model.is_llava or self.model.encodes if self._end is None else self._end
        return self.model.answer_tokens(ANSWER, text) + [self.model.end] * ends

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if self.served is not None:
            rows = zip(images, prompts, strict=True)
            said = self.served.first_words(Question(image, QUESTION.format(prompt.text)) for image, prompt in rows)
            return [min(1.0, words.get(ANSWER, 0.0)) for words in said]
        scores: Verdicts = []
        for some, theirs in batches(self.batch_size, images, prompts):
            asked = [QUESTION.format(prompt.text) for prompt in theirs]
            scores += self.model.log_probabilities(some, asked, self._answer(asked[0])).mean(1).exp().tolist()
        return scores
