"""The verdict in numbers: what each variant gained over base in each metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from versat2i.compare.statistics import BASE, MIXTURE, ROUNDING, Comparison

BETTER, WORSE, UNCLEAR, UNKNOWN = "better", "worse", "no clear change", "not measured"


@dataclass(frozen=True)
class Change:
    """A variant against base in one metric; None where a number cannot be computed.

    Attributes:
        low: lower end of the 95 % interval of the gain.
        high: upper end.
        win_rate: share of prompts on which the variant is better; a tie is half.
        abstained: images that the evaluator did not judge.
        more_abstentions: whether base has fewer of them.
    """

    base: float | None
    mean: float | None
    gain: float | None
    low: float | None
    high: float | None
    win_rate: float | None
    abstained: int
    more_abstentions: bool

    @property
    def verdict(self) -> str:
        """`better` or `worse` only where the whole interval is."""
        if self.low is None or self.high is None:
            return UNKNOWN
        return BETTER if self.low > 0 else WORSE if self.high < 0 else UNCLEAR


def headline(variants: Sequence[str]) -> str:
    """The variant that the verdict is about: the mixture, or else the last one."""
    return MIXTURE if MIXTURE in variants else list(variants)[-1]


def change(comparison: Comparison, variant: str, metric: str) -> Change:
    """One cell of ``metrics/evaluate.json`` with base's mean beside it.

    Raises:
        ValueError: it has no such cell.
    """
    try:
        entry, base = comparison[variant][metric], comparison[BASE][metric]
    except KeyError as error:
        raise ValueError(
            f"metrics/evaluate.json: has no {error} (looked for {metric} of {variant}). Run `dvc repro compare`"
        ) from None
    return Change(
        base=base.get("mean"),
        mean=entry.get("mean"),
        gain=entry.get("gain"),
        low=entry.get("low"),
        high=entry.get("high"),
        win_rate=entry.get("win_rate"),
        abstained=int(entry["abstained"]),
        more_abstentions=bool(entry.get("more_abstentions", False)),
    )


def sentence(changes: Mapping[str, Change]) -> str:
    """The verdict in words.

    Args:
        changes: aspect -> its change.
    """
    verdicts = [each.verdict for each in changes.values()]
    rest = [f"{word} in {verdicts.count(word)}" for word in (UNCLEAR, UNKNOWN) if word in verdicts]
    worse = f"{WORSE} in {verdicts.count(WORSE)}"
    return f"{BETTER.capitalize()} in {verdicts.count(BETTER)} of {len(verdicts)} aspects, {', '.join([worse, *rest])}."


def standardised(comparison: Comparison, units: Mapping[str, float]) -> pd.DataFrame:
    """Gains in standard deviations over prompts of base's scores, so that metrics can be compared.

    Args:
        comparison: ``metrics/evaluate.json``.
        units: metric -> that standard deviation.

    Returns:
        ``[variants, metrics]`` without base; NaN where there is no gain or base has no spread.
    """
    rows = {
        variant: {metric: _in_units(change(comparison, variant, metric).gain, unit) for metric, unit in units.items()}
        for variant in comparison
        if variant not in (BASE, "summary")
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(units)).astype(float)


def _in_units(gain: float | None, unit: float) -> float:
    return float("nan") if gain is None or not unit > ROUNDING else gain / unit
