"""VQA models: one module each, listed in `VQAS`."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from versat2i.rewards.common.base import Images
from versat2i.rewards.common.registry import create, unknown
from versat2i.rewards.faithfulness.vqa.nearest import nearest_choice
from versat2i.settings.compute import NOWHERE, Server

VQAS = {
    "shapes": "versat2i.rewards.faithfulness.vqa.shapes:Shapes",
    "http": "versat2i.rewards.faithfulness.vqa.http:Http",
}
"""Name -> ``module:callable``."""

MODEL = "versat2i.rewards.faithfulness.vqa.model:Model"


class VQA(Protocol):
    """Answers questions about images.

    Attributes:
        licence: of the answerer and of the weights it loads.
        free_form: whether it answers in its own words, not in one of the choices.
    """

    licence: str
    free_form: bool

    def answer(self, images: Images, asked: pd.DataFrame) -> list[str | None]:
        """One answer a row, None: cannot tell.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            asked: one row a question about an image: ``image`` (position in `images`), ``question``,
                ``choices``.
        """
        ...


def load(name: str, device: str = "cpu", servers: Mapping[str, Server] = NOWHERE, **options: Any) -> VQA:
    """A VQA by name, or a model of transformers from a folder or ``repository@revision``.

    Raises:
        ValueError: the name or an option is not known; close ones are named.
    """
    if name not in VQAS and ("/" in name or Path(name).is_dir()):
        return create(EntryPoint(name, MODEL, "vqa"), {**options, "model": name}, device, servers)
    if name not in VQAS:
        raise unknown("vqa", name, VQAS)
    return create(EntryPoint(name, VQAS[name], "vqa"), options, device, servers)


def choose(vqa: VQA, images: Images, asked: pd.DataFrame) -> list[str | None]:
    """One of the choices for each row of `asked`, or None: cannot tell."""
    answers = vqa.answer(images, asked)
    if not vqa.free_form:
        return answers
    return [
        None if text is None else nearest_choice(text, list(choices))
        for text, choices in zip(answers, asked["choices"], strict=True)
    ]
