"""Ask questions about an image and count the right answers."""

from typing import Any

import numpy as np
import pandas as pd

from versat2i.rewards.common.base import BLANK, OWN_LICENCE, Images, Scores, expect_images, is_blank
from versat2i.rewards.faithfulness import vqa as vqas
from versat2i.rewards.faithfulness.scoring import correct, dsg_score, tifa_score

_DETAILS = ["question_id", "question", "element_type", "expected", "answer", "correct"]


def _questions_of(images: Images, prompts: pd.DataFrame, questions: pd.DataFrame, blank: list[bool]) -> pd.DataFrame:
    """One row for each image that is not blank and question of its prompt, ``image`` its position."""
    shown = pd.DataFrame({"image": np.arange(len(images)), "prompt_id": prompts["prompt_id"].to_numpy()})
    asked = shown[~np.array(blank, bool)].merge(questions, on="prompt_id", how="inner")
    return asked.rename(columns={"answer": "expected"})


def _details(answers: pd.DataFrame, amount: int) -> list[dict | None]:
    """The answers of each image, None for images that were not asked about."""
    table = answers.assign(correct=correct(answers))
    found = {image: {"answers": rows[_DETAILS].to_dict("records")} for image, rows in table.groupby("image")}
    return [found.get(image) for image in range(amount)]


class Tifa:
    """Share of the questions about a prompt that a VQA answers as the prompt says (Hu et al. 2023)."""

    name = "tifa"
    metric = "tifa"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; the VQA's weights as their model card says"
    _mean = staticmethod(tifa_score)

    def __init__(self, vqa: str, **options: Any) -> None:
        """Make one.

        Args:
            vqa: who answers, by name; see `vqa`.
            options: what that VQA takes.
        """
        self._vqa = vqas.load(vqa, **options)
        self.licence = f"{OWN_LICENCE}; {vqa}: {self._vqa.licence}"

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        if questions is None:
            raise ValueError(f"{self.name} needs the questions of the prompts, but there are none")
        expect_images(images)
        blank = [is_blank(image) for image in images]
        asked = _questions_of(images, prompts, questions, blank)
        answers = asked.assign(answer=pd.Series(vqas.choose(self._vqa, images, asked), asked.index, dtype=object))
        # several images may show one prompt: each is scored as if it were a prompt of its own
        means = self._mean(answers.assign(prompt_id=answers["image"]))
        values = means.reindex(range(len(images))).to_numpy(np.float64)
        why = [BLANK if empty else "no question for the prompt" for empty in blank]
        reasons = [reason if np.isnan(value) else None for value, reason in zip(values, why, strict=True)]
        return Scores(values, reasons, _details(answers, len(images)))


class Dsg(Tifa):
    """TIFA with dependencies: no credit for questions about things that are not there (Cho et al. 2024)."""

    name = "dsg"
    metric = "dsg"
    _mean = staticmethod(dsg_score)
