"""Score image files by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from versat2i import rewards
from versat2i.prompts import sources
from versat2i.prompts.records import Prompt, Question, to_tables
from versat2i.rewards.common.base import check
from versat2i.settings.params import Reward


def score_files(paths: list[Path], text: str, evaluators: list[tuple[str, Reward]]) -> Iterator[str]:
    """A line an image and evaluator: path, metric, score, or the reason of an abstention.

    Args:
        paths: image files.
        text: what they were to show; questions are asked about it if it is a sentence of the grammar.
        evaluators: who scores, each with its aspect.

    Raises:
        ValueError: a file is no image.
    """
    prompts, questions, _ = to_tables([Prompt(text, "command line", "", _questions(text))])
    for aspect, evaluator in evaluators:
        reward = rewards.from_params(aspect, evaluator)
        for path in paths:
            frame = pd.DataFrame({"prompt_id": prompts["prompt_id"], "k": [0], "text": prompts["text"]})
            scores = check(reward, reward.score(read(path)[None], frame, questions), frame)
            value, reason = scores.values[0], scores.reasons[0]
            yield f"{path}  {reward.metric}  {f'{value:.4f}' if reason is None else f'abstained: {reason}'}"


def _questions(text: str) -> list[Question]:
    """Questions about the text; none where it is no sentence of the grammar: who needs them abstains."""
    try:
        return sources.ask(text)
    except ValueError:
        return []


def read(path: Path) -> np.ndarray:
    """An image file as ``uint8 [height, width, 3]``.

    Raises:
        ValueError: it is no image that can be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image ({error})") from None
