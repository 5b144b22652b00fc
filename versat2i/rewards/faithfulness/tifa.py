"""Ask questions about an image and count the right answers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from versat2i.formats import tables
from versat2i.rewards.common.base import OWN_LICENCE, Explained, Images, Prompt, Verdicts
from versat2i.rewards.faithfulness import vqa as vqas
from versat2i.rewards.faithfulness.scoring import correct, dsg_score, tifa_score
from versat2i.settings.compute import NOWHERE, Server

_QUESTION = list(tables.SCHEMAS["questions"].names[1:])
_DETAILS = ["question_id", "question", "element_type", "expected", "answer", "correct"]
NO_QUESTION = "no question for the prompt"


def _asked(prompts: list[Prompt]) -> pd.DataFrame:
    """One row for each image and question of its prompt, ``image`` its position."""
    rows = [(place, *map(asked.get, _QUESTION)) for place, prompt in enumerate(prompts) for asked in prompt.questions]
    return pd.DataFrame(rows, columns=["image", *_QUESTION]).rename(columns={"answer": "expected"})


class Tifa:
    """Share of the questions about a prompt that a VQA answers as the prompt says (Hu et al. 2023)."""

    name = "tifa"
    metric = "tifa"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; the VQA's weights as their model card says"
    _mean = staticmethod(tifa_score)

    def __init__(self, vqa: str, device: str = "cpu", servers: Mapping[str, Server] = NOWHERE, **options: Any) -> None:
        """Make one.

        Args:
            vqa: who answers, by name; see `vqa`.
            device: to compute on.
            servers: where models are served.
            options: what that VQA takes.
        """
        self._vqa = vqas.load(vqa, device, servers, **options)
        self.licence = f"{OWN_LICENCE}; {vqa}: {self._vqa.licence}"
        self.weights, self.modules = list(getattr(self._vqa, "weights", ())), [type(self._vqa).__module__]

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        asked = _asked(prompts)
        answers = asked.assign(answer=pd.Series(vqas.choose(self._vqa, images, asked), asked.index, dtype=object))
        # several images may show one prompt: each is scored as if it were a prompt of its own
        means = self._mean(answers.assign(prompt_id=answers["image"]))
        told = answers.assign(correct=correct(answers)).groupby("image")
        details = {image: {"answers": rows[_DETAILS].to_dict("records")} for image, rows in told}
        return [
            Explained(means[image], details[image]) if image in details else NO_QUESTION for image in range(len(images))
        ]


class Dsg(Tifa):
    """TIFA with dependencies: no credit for questions about things that are not there (Cho et al. 2024)."""

    name = "dsg"
    metric = "dsg"
    _mean = staticmethod(dsg_score)
