"""An answerer of transformers: BLIP and ViLT, which were made for it, or any vision-language model."""

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from versat2i.models.pretrained import weights as pretrained
from versat2i.rewards.common.base import Images, pictures
from versat2i.rewards.common.vlm import LONGEST, PLAIN, VisionLanguage
from versat2i.rewards.faithfulness.vqa.embedding import Embedder
from versat2i.rewards.faithfulness.vqa.nearest import choice_of, nearest_choice

Ask = Callable[[Images, str], list[str]]  # one question about each image


def _inputs(weights: pretrained.Pretrained, model: Any) -> Callable[[Images, str], Any]:
    processor = weights.load("AutoProcessor")

    def prepare(images: Images, question: str) -> Any:
        texts = [question] * len(images)
        made = processor(images=pictures(images), text=texts, truncation=True, return_tensors="pt")
        return made.to(model.device, model.dtype)

    return prepare


def _labels(weights: pretrained.Pretrained, device: str) -> Ask:
    """ViLT: the most probable of the answers that it was trained to tell apart."""
    model = weights.model("AutoModelForVisualQuestionAnswering", device=device)
    prepare = _inputs(weights, model)

    def ask(images: Images, question: str) -> list[str]:
        best = model(**prepare(images, question)).logits.argmax(-1)
        return [model.config.id2label[int(label)] for label in best]

    return ask


def _sentences(weights: pretrained.Pretrained, device: str) -> Ask:
    """BLIP: what its decoder says."""
    model = weights.model("AutoModelForVisualQuestionAnswering", device=device)
    prepare, tokenizer = _inputs(weights, model), weights.load("AutoTokenizer")

    def ask(images: Images, question: str) -> list[str]:
        said = model.generate(**prepare(images, question), max_new_tokens=LONGEST, do_sample=False, num_beams=1)
        return tokenizer.batch_decode(said, skip_special_tokens=True)

    return ask


BLIP2 = "Blip2ForConditionalGeneration"
MULTIPLE_CHOICE = f"Answer the multiple-choice question. {PLAIN}"  # as TIFA's authors ask BLIP-2
MADE_FOR_IT = {"ViltForQuestionAnswering": _labels, "BlipForQuestionAnswering": _sentences}


class Model:
    """Answers in its own words, then takes the choice that they are, else the nearest."""

    free_form = False

    def __init__(
        self,
        model: str,
        dtype: str = "float32",
        batch_size: int = 8,
        embedder: str | None = None,
        choices: bool | None = None,
        system: str | None = None,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: a folder, or ``repository@revision``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            embedder: a sentence transformer, a folder or ``repository@revision``, which finds the nearest
                choice; without one the choice nearest by its letters is taken.
            choices: whether a question comes with its choices; None: for BLIP-2 alone, as TIFA's authors have it.
            system: what a chat begins with; None: for LLaVA 1.5 as its authors have it, "": nothing.
            trust_remote_code: whether code that comes with the model (not the embedder) may be run.
            device: to compute on.
        """
        self._weights, self.batch_size = pretrained.parse(model, dtype, trust_remote_code), batch_size
        self._choices, self._system, self._device = choices, system, device
        self._embedder = Embedder(embedder, device) if embedder else None
        self.weights = [self._weights, *([self._embedder.weights] if self._embedder else [])]
        self.licence = pretrained.LICENCE + (f"; {embedder}: {pretrained.LICENCE}" if embedder else "")

    @cached_property
    def _classes(self) -> list[str]:
        return self._weights.load("AutoConfig").architectures or []

    @cached_property
    def _ask(self) -> Ask:
        for name in self._classes:
            if name in MADE_FOR_IT:
                return MADE_FOR_IT[name](self._weights, self._device)
        weights, plain = self._weights, MULTIPLE_CHOICE if self._with_choices else PLAIN
        model = VisionLanguage(
            str(weights), weights.dtype, weights.trust_remote_code, self._system, plain=plain, device=self._device
        )
        return lambda images, question: model.answers(images, [question] * len(images))

    @cached_property
    def _with_choices(self) -> bool:
        return BLIP2 in self._classes if self._choices is None else self._choices

    def _asked(self, question: str, choices: Sequence[str]) -> str:
        """A question as it is put to the model."""
        return f"{question} Choices: {', '.join(choices)}" if self._with_choices else question

    def choice(self, text: str, choices: Sequence[str]) -> str | None:
        """The choice that an answer is, without regard to case and outer blanks, else the nearest one."""
        return choice_of(text, choices, self._embedder.nearest if self._embedder else nearest_choice)

    def answer(self, images: Images, asked: pd.DataFrame) -> list[str | None]:
        """One of the choices a row, None: nothing was said.

        One question at a time, about all images that it is asked of: nothing is padded, so that an
        answer does not depend on what else is asked.
        """
        said: dict[Hashable, str] = {}
        rows_of = zip(asked["question"], asked["choices"], strict=True)
        texts = [self._asked(question, list(choices)) for question, choices in rows_of]
        for question, rows in asked.groupby(pd.Series(texts, asked.index, dtype=object), sort=False):
            for start in range(0, len(rows), self.batch_size):
                batch = rows.iloc[start : start + self.batch_size]
                answers = self._ask(images[batch["image"].to_numpy()], str(question))
                said.update(zip(batch.index, answers, strict=True))
        return [
            self.choice(text, list(choices))
            for text, choices in zip(map(said.__getitem__, asked.index), asked["choices"], strict=True)
        ]
