"""Score a variant's images by every evaluator, and measure their diversity."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from versat2i import rewards
from versat2i.formats import shards
from versat2i.formats.shards import Candidate
from versat2i.rewards.common import scoring
from versat2i.rewards.common.base import FLAGGED
from versat2i.rewards.faithfulness import accuracy_by_type
from versat2i.settings.params import Params, Reward

JUDGES = "judges"  # the folder of evaluators that never select
DIVERSITY = "diversity"

Evaluators = Sequence[tuple[str, Reward]]  # with the aspect of each, or `JUDGES`


def of_aspects(settings: Params) -> list[tuple[str, Reward]]:
    """The evaluators that select, one an aspect."""
    return [(aspect, settings.rewards[aspect]) for aspect in settings.aspects]


def of_judges(settings: Params) -> list[tuple[str, Reward]]:
    """The evaluators that never select."""
    return [(JUDGES, judge) for judge in settings.evaluate.judges]


def score(folder: Path, evaluators: Evaluators, texts: dict[str, str], questions: pd.DataFrame) -> pd.DataFrame:
    """Every metric of every image of a variant, higher is better throughout.

    Args:
        folder: the variant's shards.
        evaluators: who scores, each with its aspect.
        texts: prompt_id -> text.
        questions: the questions table.

    Returns:
        one row an image and metric (kind `evaluation`).

    Raises:
        ValueError: two evaluators have one metric.
    """
    metric_names(evaluators)
    frames = []
    for aspect, evaluator in evaluators:
        worker = scoring.Recipe(aspect, evaluator, texts, questions)()
        table = pd.concat([worker(path)[0] for path in shards.paths(folder)], ignore_index=True)
        sign = 1 if worker.reward.higher_is_better else -1
        frames.append(table.assign(metric=worker.reward.metric, score=sign * table["score"]))
    return pd.concat([*frames, diversity(folder)], ignore_index=True)


def by_element(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Share of right answers about each type of element, of the metrics that ask questions.

    Args:
        table: one row an image and metric (kind `evaluation`).

    Returns:
        metric -> type (``color``, ``counting``, ...) -> share, to 6 decimals; as TIFA has it, all images together.
    """
    found = {}
    for metric, rows in table.groupby("metric"):
        details = [json.loads(text) for text in rows["details"].dropna()]
        answers = pd.DataFrame([answer for each in details for answer in each.get("answers", [])])
        if len(answers):
            shares = accuracy_by_type(answers).round(6)
            found[str(metric)] = {str(kind): float(share) for kind, share in shares.items()}
    return found


def diversity(folder: Path) -> pd.DataFrame:
    """How different the images of one prompt are: a self-trained model may draw one thing for ever.

    For each image the mean over the prompt's other images of the root mean square distance of their
    pixels, in units of the full range; a prompt with one image has none, nor has an image that was flagged.

    Returns:
        one row an image (kind `evaluation`).
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in shards.read_all(folder):
        groups.setdefault(candidate.prompt_id, []).append(candidate)
    rows: list[tuple] = []
    for prompt_id, group in groups.items():
        shown = [candidate for candidate in group if not candidate.flagged]
        for candidate, distance in zip(shown, _distances([c.image for c in shown]), strict=True):
            reason = None if np.isfinite(distance) else "the only image of its prompt"
            rows.append((DIVERSITY, prompt_id, candidate.k, distance, reason, None))
        rows += [(DIVERSITY, prompt_id, c.k, np.nan, FLAGGED, None) for c in group if c.flagged]
    return pd.DataFrame(rows, columns=["metric", "prompt_id", "k", "score", "abstained", "details"])


def _distances(images: list[np.ndarray]) -> np.ndarray:
    """Mean distance of each image to the others, ``[images]``; NaN for a single one."""
    if len(images) < 2:
        return np.full(len(images), np.nan)
    flat = np.stack(images).reshape(len(images), -1).astype(np.float64) / 255
    pairs = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(-1))
    return pairs.sum(1) / (len(images) - 1)


def metric_names(evaluators: Evaluators) -> list[str]:
    """The metric of each evaluator.

    Raises:
        ValueError: two have the same, or one that of `diversity`.
    """
    names = [rewards.from_params(aspect, e).metric for aspect, e in evaluators]
    for metric, amount in Counter([*names, DIVERSITY]).items():
        if amount > 1:
            sharing = [f"{a}: {e.evaluator}" for (a, e), name in zip(evaluators, names, strict=True) if name == metric]
            raise ValueError(
                f"params.yaml: the metric {metric!r} is that of {amount} evaluators ({', '.join(sharing)}); a metric "
                "is a column of the results and needs one evaluator. Leave the others out"
            )
    return names


def by_metric(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """An evaluation table as one frame a metric, as `statistics.compare` takes it."""
    return {str(metric): frame.reset_index(drop=True) for metric, frame in table.groupby("metric", sort=False)}
