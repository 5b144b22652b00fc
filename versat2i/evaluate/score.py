"""Score a variant's images by every evaluator, and measure their diversity."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from versat2i import rewards
from versat2i.evaluate import diversity
from versat2i.formats import shards
from versat2i.rewards.common import scoring
from versat2i.settings.params import Params, Reward

JUDGES = "judges"  # the folder of evaluators that never select

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
    return pd.concat([*frames, diversity.of(folder)], ignore_index=True)


def metric_names(evaluators: Evaluators) -> list[str]:
    """The metric of each evaluator.

    Raises:
        ValueError: two have the same, or one that of `diversity`.
    """
    names = [rewards.from_params(aspect, e).metric for aspect, e in evaluators]
    for metric, amount in Counter([*names, diversity.NAME]).items():
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
