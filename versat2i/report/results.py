"""The verdict in numbers: what each variant gained over base in each metric."""

from collections.abc import Mapping, Sequence

import pandas as pd

from versat2i.compare.results import BETTER, UNCLEAR, UNKNOWN, WORSE, Evaluation, Result
from versat2i.compare.statistics import BASE, MIXTURE, ROUNDING


def headline(variants: Sequence[str]) -> str:
    """The variant that the verdict is about: the mixture, or else the last one."""
    return MIXTURE if MIXTURE in variants else list(variants)[-1]


def sentence(results: Sequence[Result]) -> str:
    """The verdict in words. of each aspect."""
    verdicts = [each.verdict for each in results]
    rest = [f"{word} in {verdicts.count(word)}" for word in (UNCLEAR, UNKNOWN) if word in verdicts]
    worse = f"{WORSE} in {verdicts.count(WORSE)}"
    return f"{BETTER.capitalize()} in {verdicts.count(BETTER)} of {len(verdicts)} aspects, {', '.join([worse, *rest])}."


def standardised(comparison: Evaluation, units: Mapping[str, float]) -> pd.DataFrame:
    """Gains in standard deviations over prompts of base's scores, so that metrics can be compared.

    Args:
        comparison: ``metrics/evaluate.json``.
        units: metric -> that standard deviation.

    Returns:
        ``[variants, metrics]`` without base; NaN where there is no gain or base has no spread.
    """
    rows = {
        variant: {metric: _in_units(comparison.of(variant, metric).gain, unit) for metric, unit in units.items()}
        for variant in comparison.variants
        if variant != BASE
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(units)).astype(float)


def _in_units(gain: float | None, unit: float) -> float:
    return float("nan") if gain is None or not unit > ROUNDING else gain / unit
