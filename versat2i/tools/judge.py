"""Score image files by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from versat2i import rewards
from versat2i.prompts import sources
from versat2i.prompts.records import prompt_id
from versat2i.settings.compute import Compute
from versat2i.settings.params import Reward
from versat2i.tools import pictures


def score_files(paths: list[Path], text: str, evaluators: list[tuple[str, Reward]], machine: Compute) -> Iterator[str]:
    """A line an image and evaluator: path, metric, score, or the reason of an abstention.

    A file that is no image has one line that says why; the others are scored all the same.

    Args:
        paths: image files.
        text: what they were to show; questions are asked about it if it is a sentence of the grammar.
        evaluators: who scores, each with its aspect.
        machine: where they run.

    Raises:
        ValueError: after the last line, if files are no images; or an evaluator fails.
    """
    asked = prompt(text)
    unreadable: set[Path] = set()
    for aspect, evaluator in evaluators:
        reward = rewards.from_params(aspect, evaluator, machine)
        for path in dict.fromkeys(paths):
            if path in unreadable:
                continue
            try:
                image, notes = pictures.read(path)
            except ValueError as error:
                unreadable.add(path)
                yield str(error)
                continue
            (verdict,) = rewards.judged(reward, image[None], [asked], [str(path)])
            score = f"abstained: {verdict}" if isinstance(verdict, str) else f"{verdict:.4f}"
            said = f"  ({'; '.join(notes)})" if notes else ""
            yield f"{path}  {reward.metric}  {score}{said}"
    if unreadable:
        raise ValueError(f"{len(unreadable)} of {len(set(paths))} files are no readable images")


def prompt(text: str) -> rewards.Prompt:
    """A text with questions about it; none where it is no sentence of the grammar: who needs them abstains."""
    try:
        questions = sources.ask(text)
    except ValueError:
        questions = []
    return rewards.Prompt(prompt_id(text), text, questions)


def read(path: Path) -> np.ndarray:
    """An image file as ``uint8 [height, width, 3]``, see `pictures.read`."""
    return pictures.read(path)[0]
