"""Score a variant's images by every evaluator, and measure their diversity."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from versat2i.evaluate import diversity
from versat2i.formats.measures import Measure
from versat2i.rewards.common import registry, scoring
from versat2i.settings.compute import CPU, Compute
from versat2i.settings.params import Params, Reward
from versat2i.work import engine, parcels

JUDGES = "judges"  # the folder of evaluators that never select

Evaluators = Sequence[tuple[str, Reward]]  # with the aspect of each, or `JUDGES`


def of_aspects(settings: Params) -> list[tuple[str, Reward]]:
    """The evaluators that select, one an aspect."""
    return [(aspect, settings.rewards[aspect]) for aspect in settings.aspects]


def of_judges(settings: Params) -> list[tuple[str, Reward]]:
    """The evaluators that never select."""
    return [(JUDGES, judge) for judge in settings.evaluate.judges]


def score(
    folder: Path,
    evaluators: Evaluators,
    texts: dict[str, str],
    questions: pd.DataFrame,
    machine: Compute = CPU,
) -> pd.DataFrame:
    """Score every image of a variant by every evaluator.

    Args:
        folder: the variant's shards.
        evaluators: who scores, each with its aspect.
        texts: prompt_id -> text.
        questions: the questions table.
        machine: where evaluators run.

    Returns:
        one row an image and metric (kind `evaluation`), in the order of `measures`.

    Raises:
        ValueError: two evaluators have one metric.
    """
    frames = []
    for measure, (aspect, evaluator) in zip(measures(evaluators), evaluators, strict=False):
        recipe = scoring.Recipe(aspect, evaluator, texts, questions, machine)
        units = scoring.units(folder, registry.from_params(aspect, evaluator))
        made = engine.run(recipe, units, machine, "evaluate", parcels.shards)
        table = pd.concat([scores for scores, _ in made], ignore_index=True)
        frames.append(table.assign(metric=measure.metric))
    return pd.concat([*frames, diversity.of(folder)], ignore_index=True)


def measures(evaluators: Evaluators) -> list[Measure]:
    """Describe what each evaluator measures; `diversity`, which every variant has, comes last.

    Raises:
        ValueError: two have the same metric, or one that of `diversity`.
    """
    found = [registry.measure(aspect, e, selects=aspect != JUDGES) for aspect, e in evaluators] + [diversity.MEASURE]
    for metric, amount in Counter(measure.metric for measure in found).items():
        if amount > 1:
            pairs = zip(evaluators, found, strict=False)
            sharing = [f"{a}: {e.evaluator}" for (a, e), measure in pairs if measure.metric == metric]
            raise ValueError(
                f"params.yaml: the metric {metric!r} is that of {amount} evaluators ({', '.join(sharing)}); a metric "
                "is a column of the results and needs one evaluator. Leave the others out"
            )
    return found
