"""What an evaluator says of images, as arrays: tests compare many at once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from versat2i import rewards
from versat2i.formats import tables
from versat2i.rewards.common import scoring

NO_QUESTIONS = pd.DataFrame(columns=tables.SCHEMAS["questions"].names)


@dataclass(frozen=True)
class Scored:
    """Values are NaN where there is a reason to abstain."""

    values: np.ndarray
    reasons: list
    details: list


def told(prompts, questions=None):
    """The prompts of a table with ``prompt_id`` and ``text``, as evaluators are given them."""
    texts = dict(zip(prompts["prompt_id"], prompts["text"], strict=True))
    known = scoring.prompts_of(texts, NO_QUESTIONS if questions is None else questions)
    return [known[prompt_id] for prompt_id in prompts["prompt_id"]]


def scored(reward, images, prompts=None, questions=None):
    """One score an image; None for prompts that do not matter."""
    asked = [rewards.Prompt("p", "x")] * len(images) if prompts is None else told(prompts, questions)
    found = rewards.judged(reward, images, asked)
    return Scored(
        np.array([np.nan if isinstance(verdict, str) else float(verdict) for verdict in found]),
        [verdict if isinstance(verdict, str) else None for verdict in found],
        [getattr(verdict, "details", None) for verdict in found],
    )
