"""Levels of a quality as words: how probable each is as the next word of a vision-language model."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Images, Prompt, Verdicts, batches
from versat2i.rewards.common.reached import Reached
from versat2i.rewards.common.served import Question
from versat2i.rewards.common.vlm import LLAVA_V1, Asked, VisionLanguage
from versat2i.settings.compute import NOWHERE, Server

QUESTION = "How would you rate the quality of this image?"  # Q-Align's and DeQA-Score's
STEM = "The quality of the image is"
WORDS = {"excellent": 1.0, "good": 0.75, "fair": 0.5, "poor": 0.25, "bad": 0.0}  # weights as Q-Align's
LEAST_SAID = 0.01  # probability of all words together among the tokens that a server gives


def quality(logits: NDArray[np.float64], weights: Sequence[float]) -> NDArray[np.float64]:
    """``sum_i w_i softmax_i(l)``, l_i the mean over the words of level i.

    Args:
        logits: of the words as next token, ``float64 [images, levels, words]``.
        weights: w, one a level.

    Returns:
        ``float64 [images]``.
    """
    levels = logits.mean(-1)
    share = np.exp(levels - levels.max(-1, keepdims=True))
    return share @ np.array(weights) / share.sum(-1)


class Scale:
    """``sum_i w_i softmax_i(l)`` with l the logits of each level's words as next word of a model that is loaded here.

    Attributes:
        question: about an image; ``{prompt}`` in it is the image's prompt.
        stem: with what the answer begins.
        words: of each level, the best first; l is the mean over a level's.
        values: w.
        model: that is asked.
        batch_size: images at once.
    """

    question: str
    stem: str
    words: list[tuple[str, ...]]
    values: list[float]
    model: VisionLanguage
    batch_size: int

    def asks(self, prompt: str) -> Asked:
        text = self.question.replace("{prompt}", prompt)
        return Asked(text, self.stem, [word for words in self.words for word in words])

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        parts = batches(self.batch_size, images, prompts)
        return [score for some, theirs in parts for score in self._quality(some, theirs).tolist()]

    def _quality(self, images: Images, prompts: list[Prompt]) -> NDArray[np.float64]:
        texts = [self.asks(prompt.text).text for prompt in prompts]
        tokens = self.model.first_tokens(self.asks("").words, texts[0], self.stem)
        logits = self.model.next_logits(images, texts, self.stem)[:, tokens].double()
        return quality(logits.reshape(len(images), len(self.words), -1).numpy(), self.values)


class Levels(Reached, Scale):
    """A scale whose words and their weights params give.

    As it is, ``excellent, good, fair, poor, bad`` with 1, 3/4, 1/2, 1/4, 0: Q-Align and OneAlign (Wu et al. 2023,
    arXiv 2312.17090); with 5, 4, 3, 2, 1: DeQA-Score (You et al. 2025, arXiv 2501.11561).
    """

    name = "levels"
    metric = "levels"
    higher_is_better = True
    range: tuple[float, float] = (0.0, 1.0)

    def __init__(
        self,
        model: str,
        server: str | None = None,
        metric: str = "levels",
        question: str = QUESTION,
        stem: str = STEM,
        words: Mapping[str, float] | None = None,
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
            metric: what the score is called.
            question: about an image; ``{prompt}`` in it is the image's prompt.
            stem: with what the answer begins; "" for nothing.
            words: and their weights; None: `WORDS`.
            dtype: float32, float16 or bfloat16, of a model that is loaded here.
            batch_size: images at once, for a model that is loaded here.
            system: what the chat begins with; None: for LLaVA 1.5 as its authors have it, "": nothing.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
            servers: where models are served.

        Raises:
            ValueError: there are fewer than two words, or all have one weight.
        """
        chosen = dict(WORDS if words is None else words)
        if len(set(chosen.values())) < 2:
            raise ValueError(f"levels: words {chosen} do not tell images apart; give at least two of different weights")
        self.metric, self.question, self.stem, self.batch_size = metric, question, stem, batch_size
        self.words, self.values = [(word,) for word in chosen], [float(value) for value in chosen.values()]
        self.range = (min(self.values), max(self.values))
        self.reach(model, dtype, trust_remote_code, system, LLAVA_V1, device, server, servers)

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        if self.served is None:
            return super().score(images, prompts)
        rows = zip(images, prompts, strict=True)
        said = self.served.first_words(
            Question(image, self.asks(prompt.text).text, self.stem) for image, prompt in rows
        )
        return [self._verdict(found) for found in said]

    def _verdict(self, found: Mapping[str, float]) -> float | str:
        """``sum_i w_i p_i / sum_i p_i`` over the words that a server gives; one that it does not give has p = 0."""
        shares = np.array([found.get(word, 0.0) for (word,) in self.words])
        if shares.sum() < LEAST_SAID:
            return f"the answer begins with none of the words, but with {max(found, key=found.__getitem__)!r}"
        return float(shares @ np.array(self.values) / shares.sum())
