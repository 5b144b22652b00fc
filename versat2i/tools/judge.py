"""Score image files by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from versat2i import rewards
from versat2i.prompts import sources
from versat2i.prompts.records import Prompt, Question, to_tables
from versat2i.rewards.common.base import judged
from versat2i.settings.params import Reward
from versat2i.tools import pictures


def score_files(paths: list[Path], text: str, evaluators: list[tuple[str, Reward]]) -> Iterator[str]:
    """A line an image and evaluator: path, metric, score, or the reason of an abstention.

    A file that is no image has one line that says why; the others are scored all the same.

    Args:
        paths: image files.
        text: what they were to show; questions are asked about it if it is a sentence of the grammar.
        evaluators: who scores, each with its aspect.

    Raises:
        ValueError: after the last line, if files are no images; or an evaluator fails.
    """
    prompts, questions, _ = to_tables([Prompt(text, "command line", "", _questions(text))])
    frame = pd.DataFrame({"prompt_id": prompts["prompt_id"], "k": [0], "text": prompts["text"]})
    unreadable: set[Path] = set()
    for aspect, evaluator in evaluators:
        reward = rewards.from_params(aspect, evaluator)
        for path in dict.fromkeys(paths):
            if path in unreadable:
                continue
            try:
                image, notes = pictures.read(path)
            except ValueError as error:
                unreadable.add(path)
                yield str(error)
                continue
            scores = judged(reward, image[None], frame, questions)
            value, reason = scores.values[0], scores.reasons[0]
            said = f"  ({'; '.join(notes)})" if notes else ""
            yield f"{path}  {reward.metric}  {f'{value:.4f}' if reason is None else f'abstained: {reason}'}{said}"
    if unreadable:
        raise ValueError(f"{len(unreadable)} of {len(set(paths))} files are no readable images")


def _questions(text: str) -> list[Question]:
    """Questions about the text; none where it is no sentence of the grammar: who needs them abstains."""
    try:
        return sources.ask(text)
    except ValueError:
        return []


def read(path: Path) -> np.ndarray:
    """An image file as ``uint8 [height, width, 3]``, see `pictures.read`."""
    return pictures.read(path)[0]
