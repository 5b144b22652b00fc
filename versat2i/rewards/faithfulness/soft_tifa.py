"""Soft-TIFA of GenEval 2 (Kamath et al. 2025, arXiv 2512.16853): how probable a model finds the right answers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Explained, Image, Images, Prompt, Verdicts
from versat2i.rewards.common.reached import Reached
from versat2i.rewards.common.served import Question
from versat2i.rewards.common.vlm import VICUNA_V1, Asked
from versat2i.rewards.faithfulness.tifa import NO_QUESTION
from versat2i.settings.compute import NOWHERE, Server

ASKED = "{} Answer in one word."
NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
MEANS = {"arithmetic": "soft_tifa", "geometric": "soft_tifa_gm"}  # and what the score is called


def variants(answer: str) -> list[str]:
    """How an answer may be written: in small letters or with a capital, a number as a word or in digits."""
    word = answer.strip().lower()
    words = [word]
    if word in NUMBERS:
        words.append(str(NUMBERS.index(word)))
    elif word.isdecimal() and int(word) < len(NUMBERS):
        words.append(NUMBERS[int(word)])
    return sorted({written for word in words for written in (word, word.capitalize())})


def aggregated(probabilities: list[float], kind: str) -> float:
    """``(1/n) sum_i p_i`` (arithmetic), which forgives one wrong answer, or ``(prod_i p_i)^(1/n)``, which does not."""
    found = np.array(probabilities)
    if kind == "arithmetic":
        return float(found.mean())
    return float(np.exp(np.log(found).mean())) if found.all() else 0.0


class SoftTifa(Reached):
    """Mean over a prompt's questions of ``P(a | image, question)``, a the right answer in any of its `variants`.

    P is the sum over the variants of the probability of the answer's first token, with a blank before it or without.
    """

    name = "soft_tifa"
    metric = "soft_tifa"
    higher_is_better = True
    range = (0.0, 1.0)

    def __init__(
        self,
        model: str,
        server: str | None = None,
        mean: str = "arithmetic",
        dtype: str = "float32",
        batch_size: int = 8,
        system: str | None = None,
        trust_remote_code: bool = False,
        device: str = "cpu",
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``; with `server` its name there.
            server: where the model is served, by its name in compute.yaml; None: it is loaded here.
            mean: arithmetic, or geometric, whose metric is ``soft_tifa_gm``.
            dtype: float32, float16 or bfloat16, of a model that is loaded here.
            batch_size: images at once, for a model that is loaded here.
            system: what the chat begins with; None: for LLaVA 1.5 as its authors have it, "": nothing.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
            servers: where models are served.

        Raises:
            ValueError: the mean is none of the two.
        """
        if mean not in MEANS:
            raise ValueError(f"soft_tifa: mean {mean!r} is none of {', '.join(MEANS)}")
        self.metric, self._mean, self._batch_size = MEANS[mean], mean, batch_size
        self.reach(model, dtype, trust_remote_code, system, VICUNA_V1, device, server, servers)

    def asks(self, prompt: str) -> Asked:
        """Whether the image shows its prompt, in the words that its questions are asked in."""
        return Asked(ASKED.format(f"Does the image show {prompt}?"), "", variants("yes") + variants("no"), spelled=True)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        rows = [(place, asked) for place, prompt in enumerate(prompts) for asked in prompt.questions]
        found = self._probabilities([(images[place], asked["question"], asked["answer"]) for place, asked in rows])
        told: dict[int, list[dict]] = {}
        for (place, asked), probability in zip(rows, found, strict=True):
            names = ("question_id", "question", "answer")
            told.setdefault(place, []).append({name: asked[name] for name in names} | {"probability": probability})
        return [
            Explained(
                aggregated([answer["probability"] for answer in told[place]], self._mean), {"answers": told[place]}
            )
            if place in told
            else NO_QUESTION
            for place in range(len(images))
        ]

    def _probabilities(self, rows: list[tuple[Image, str, str]]) -> list[float]:
        """P of the answer to each question about an image."""
        if self.served is not None:
            said = self.served.first_words(Question(image, ASKED.format(text)) for image, text, _ in rows)
            return [min(1.0, _share(words, variants(row[2]))) for words, row in zip(said, rows, strict=True)]
        found = np.zeros(len(rows))
        for text, answer in dict.fromkeys((text, answer) for _, text, answer in rows):  # nothing is padded
            places = [place for place, row in enumerate(rows) if row[1:] == (text, answer)]
            for start in range(0, len(places), self._batch_size):
                some = places[start : start + self._batch_size]
                found[some] = self._local(np.stack([rows[place][0] for place in some]), text, answer)
        return found.tolist()

    def _local(self, images: Images, text: str, answer: str) -> NDArray[np.float64]:
        said = self.model.next_logits(images, [ASKED.format(text)] * len(images)).double().softmax(-1)
        return said[:, self.model.spellings(variants(answer))].sum(-1).numpy()


def _share(words: Mapping[str, float], written: list[str]) -> float:
    """The probability of the first tokens that are an answer; of one that is cut into tokens, of its beginning."""
    whole = sum(words.get(variant, 0.0) for variant in written)
    if whole or written[0].casefold() in ("yes", "no"):
        return whole
    return sum(value for word, value in words.items() if len(word) > 1 and any(v.startswith(word) for v in written))
