"""An answerer behind an OpenAI-compatible server."""

from collections.abc import Mapping

import pandas as pd

from versat2i.models.pretrained import weights as pretrained
from versat2i.rewards.common.base import Images
from versat2i.rewards.common.served import Question, Served
from versat2i.rewards.common.vlm import LONGEST, SHORT
from versat2i.rewards.faithfulness.vqa.embedding import Embedder
from versat2i.rewards.faithfulness.vqa.nearest import choice_of, nearest_choice
from versat2i.settings.compute import NOWHERE, Server


class Http:
    """Answers in its own words, then takes the choice that they are, else the nearest."""

    free_form = False

    def __init__(
        self,
        model: str,
        server: str,
        embedder: str | None = None,
        choices: bool = False,
        system: str = "",
        device: str = "cpu",
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Make one.

        Args:
            model: its name at the server.
            server: its name in compute.yaml.
            embedder: a sentence transformer, a folder or ``repository@revision``, which finds the nearest choice;
                without one the choice nearest by its letters is taken.
            choices: whether a question comes with its choices.
            system: what a chat begins with.
            device: of the embedder.
            servers: where models are served.
        """
        self._served, self._choices = Served(model, server, servers, system), choices
        self._embedder = Embedder(embedder, device) if embedder else None
        self.weights = [self._embedder.weights] if self._embedder else []
        self.licence = f"{model}: {pretrained.LICENCE}"

    def answer(self, images: Images, asked: pd.DataFrame) -> list[str | None]:
        """One of the choices a row, None: nothing was said."""
        rows = list(zip(asked["image"], asked["question"], map(list, asked["choices"]), strict=True))
        texts = [
            f"{question} Choices: {', '.join(choices)}" if self._choices else question for _, question, choices in rows
        ]
        questions = [Question(images[row[0]], SHORT.format(text)) for row, text in zip(rows, texts, strict=True)]
        said = self._served.replies(questions, LONGEST)
        nearest = self._embedder.nearest if self._embedder else nearest_choice
        return [choice_of(text, row[2], nearest) for text, row in zip(said, rows, strict=True)]
