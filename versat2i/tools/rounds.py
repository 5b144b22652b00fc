"""The curve over rounds, from the results that git's tags ``round-0``, ``round-1``, ... hold, and when to stop."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from versat2i.compare.results import BETTER, WORSE, Evaluation
from versat2i.evaluate import diversity, score
from versat2i.settings.params import BASE, MIXTURE, Params
from versat2i.tools import revisions
from versat2i.work import commands
from versat2i.work.places import TAG

FALL = 0.05  # share of the last round's diversity whose loss is a reason to stop


@dataclass(frozen=True)
class Round:
    """One round: its number, where its results were read, and the results."""

    number: int
    revision: str
    results: Evaluation


def read() -> list[Round]:
    """Results of every round with a tag, and of the files as they are now where they belong to none.

    Raises:
        ValueError: there is no round, or results of one cannot be read.
    """
    names = commands.output("git", "tag", "--list", f"{TAG}*").split()
    numbers = sorted(int(name.removeprefix(TAG)) for name in names if re.fullmatch(rf"{TAG}\d+", name))
    found = [Round(number, f"{TAG}{number}", revisions.metrics(f"{TAG}{number}")) for number in numbers]
    if not found:
        raise ValueError(f"no round has a tag yet. After `make repro`, commit its results and run `git tag {TAG}0`")
    return found


def curve(rounds: list[Round], variant: str = MIXTURE) -> pd.DataFrame:
    """One row a round and metric, judges and diversity among them.

    Returns:
        ``round, metric, mean, over the last round, over the first base``: gains with their 95 % intervals as text.
        The base of a round is the last round's model, so that the gain over base is that over the last round.

    Raises:
        ValueError: a round has not evaluated the variant.
    """
    rows = []
    for each in rounds:
        for metric, result in _of(each, variant).items():
            first = result.over_first or (result if each.number == 0 else None)
            mean = "-" if result.mean is None else f"{result.mean:.4f}"
            rows.append((each.number, metric, mean, result.told(), first.told() if first else "-"))
    return pd.DataFrame(rows, columns=["round", "metric", "mean", "over the last round", "over the first base"])


def brakes(last: Round, judges: Collection[str], variant: str = MIXTURE) -> list[str]:
    """Reasons to stop after a round, a line each; none: go on.

    Args:
        last: the round.
        judges: metrics that never select.
        variant: what the next round would begin with.
    """
    results, base = _of(last, variant), last.results.variants[BASE]
    aspects = {name: each for name, each in results.items() if name not in judges and name != diversity.NAME}
    lines = []
    if not any(each.verdict == BETTER for each in aspects.values()):
        lines.append(f"round {last.number} gained nothing: stop here")
    for name in judges:
        if name in results and results[name].verdict == WORSE:
            lines.append(f"round {last.number}: the judge {name} falls, {results[name].told()}: stop here")
    now, before = (found[diversity.NAME].mean if diversity.NAME in found else None for found in (results, base))
    if now is not None and before and now <= (1 - FALL) * before:
        lines.append(f"round {last.number}: diversity falls by {1 - now / before:.0%}: stop here")
    return lines


def _of(each: Round, variant: str) -> dict:
    found = each.results.variants.get(variant)
    if found is None or BASE not in each.results.variants:
        raise ValueError(f"{each.revision} has no results of {variant} (it has {', '.join(each.results.variants)})")
    return found


def judges(settings: Params) -> list[str]:
    """Metrics of the evaluators that never select."""
    return [measure.metric for measure in score.measures(score.of_judges(settings)) if measure.metric != diversity.NAME]
