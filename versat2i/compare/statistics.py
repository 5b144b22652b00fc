"""Paired statistics: what each variant gains over the base on the same prompts.

The unit is the prompt: its value is the mean merit of its images that did not abstain. Means are told in the metric's
own unit, where lower may be better; gains and win rates are of merits, where higher is better.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from versat2i.compare.results import Gain, Result
from versat2i.formats.tables import judged
from versat2i.settings.params import BASE, FIRST, MIXTURE, UNIFORM

INTERVAL = (2.5, 97.5)  # percentiles of a 95 % interval
DRAWN_AT_ONCE = 4_000_000  # prompts drawn for bootstrap samples
ROUNDING = 1e-9  # in the unit of a score: equal images in another order have means that differ by less

Scores = Mapping[str, Mapping[str, pd.DataFrame]]
Comparison = dict[str, dict[str, dict[str, float]]]


def compare(scores: Scores, *, metrics: Sequence[str], seed: int, resamples: int) -> Comparison:
    """Every variant against the base, metric by metric and in summary.

    Args:
        scores: variant -> metric -> one row an image: ``prompt_id, k, score, merit, abstained`` (the reason,
            or null). All variants have the same metrics and images; ``base`` is one of them.
        metrics: those that enter the summary; judges and diversity do not.
        seed: of the bootstrap.
        resamples: how many bootstrap samples of the prompts.

    Returns:
        ``{variant: {metric: {mean, gain, low, high, win_rate, abstained}}}``, base with ``mean`` and
        ``abstained`` only, ``more_abstentions: True`` where there are more than base has,
        ``lower_is_better: True`` where that is so; and ``summary``, see `standardised_gain`. Where there
        is a ``first``, the first base, ``over_first`` is each variant's gain over it. Numbers have 6 decimals; one
        that cannot be computed (nothing scored) is left out.
    """
    check(scores, metrics)
    means = prompt_means(scores)
    counts = bootstrap_counts(len(next(iter(means.values()))), seed=seed, resamples=resamples)
    lower = {metric: any(map(lower_is_better, (frames[metric] for frames in scores.values()))) for metric in means}
    result: Comparison = {
        variant: {metric: _entry(scores, means[metric], variant, metric, counts, lower[metric]) for metric in frames}
        for variant, frames in scores.items()
    }
    return result | {"summary": _summary(means, metrics, counts)}


def by_metric(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """An evaluation table as one frame a metric, as `compare` takes it."""
    return {str(metric): frame.reset_index(drop=True) for metric, frame in table.groupby("metric", sort=False)}


def lower_is_better(frame: pd.DataFrame) -> bool:
    """Whether the merits of one metric are the negatives of its scores; no where every score is zero."""
    known = judged(frame)
    return bool((known["merit"] != known["score"]).any())


def by_group(
    scores: Scores, groups: pd.Series, *, metrics: Sequence[str], seed: int, resamples: int
) -> dict[str, Comparison]:
    """`compare` for the prompts of each group, e.g. held-out combinations apart from seen ones.

    Args:
        scores: as for `compare`.
        groups: the label of each prompt, indexed by ``prompt_id``; a prompt that has none is in no group.
        metrics: as for `compare`.
        seed: as for `compare`.
        resamples: as for `compare`.

    Returns:
        label -> comparison.
    """
    scored = groups[groups.index.isin(_prompts(scores))]
    return {
        str(label): compare(
            {
                variant: {metric: frame[frame["prompt_id"].isin(members)] for metric, frame in frames.items()}
                for variant, frames in scores.items()
            },
            metrics=metrics,
            seed=seed,
            resamples=resamples,
        )
        for label, members in scored.groupby(scored).groups.items()
    }


def prompt_means(scores: Scores) -> dict[str, pd.DataFrame]:
    """Mean of each prompt's images that did not abstain.

    Returns:
        metric -> table ``[prompts, variants]``; all have the same prompts in the same order, NaN where
        every image of a prompt abstained or the metric does not have the prompt.
    """
    prompts = _prompts(scores)
    return {
        metric: pd.DataFrame(
            {variant: _per_prompt(frames[metric]) for variant, frames in scores.items()}, index=prompts
        )
        for metric in scores[BASE]
    }


def bootstrap_counts(prompts: int, *, seed: int, resamples: int) -> np.ndarray:
    """How often each prompt is drawn in each bootstrap sample, ``[resamples, prompts]``.

    One matrix serves all metrics and variants, so that whatever is compared is compared on the same samples.
    It is filled some samples at a time: the draws of all would be three times as large again.
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, prompts))
    for start in range(0, resamples, step := max(1, DRAWN_AT_ONCE // prompts)):
        part = counts[start : start + step]
        cells = rng.integers(prompts, size=part.shape) + prompts * np.arange(len(part))[:, None]
        part[:] = np.bincount(cells.ravel(), minlength=part.size).reshape(part.shape)
    return counts


def resampled_mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of the values in each bootstrap sample, ``sum_p c_p v_p / sum_p c_p`` over the p with a value.

    Args:
        values: one a prompt, NaN where there is none, ``[prompts]``.
        counts: from `bootstrap_counts`, ``[resamples, prompts]``.

    Returns:
        ``[resamples]``, NaN for a sample that has no value.
    """
    known = np.isfinite(values)
    total, weight = counts @ np.where(known, values, 0.0), counts @ known.astype(float)
    return np.divide(total, weight, out=np.full(len(counts), np.nan), where=weight > 0)


def interval(samples: np.ndarray) -> dict[str, float]:
    """The 95 % percentile interval of bootstrap samples ``[resamples]``; NaN if there is none."""
    known = samples[np.isfinite(samples)]
    low, high = np.percentile(known, INTERVAL) if known.size else (np.nan, np.nan)
    return {"low": low, "high": high}


def standardised_gain(
    means: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    variant: str,
    reference: str,
    counts: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Mean over metrics m of ``mean_p(variant - reference) / sd_p(base)``, and the same of each sample.

    sd_p is the standard deviation over prompts of base's value: the unit in which metrics of different
    scales can be added. It is held fixed while prompts are resampled.

    Args:
        means: metric -> ``[prompts, variants]``, from `prompt_means`.
        metrics: those to average, each with some spread in base.
        variant: what is judged.
        reference: what it is judged against.
        counts: from `bootstrap_counts`, ``[resamples, prompts]``.

    Returns:
        The gain and its bootstrap samples ``[resamples]``; NaN if any metric has no prompt that both scored.
    """
    gains, samples = [], []
    for metric in metrics:
        table = means[metric]
        gain = (table[variant] - table[reference]).to_numpy() / table[BASE].std(ddof=0)
        gains.append(_mean(gain))
        samples.append(resampled_mean(gain, counts))
    return float(np.mean(gains)), np.mean(samples, axis=0)


def check(scores: Scores, metrics: Sequence[str]) -> None:
    """Check that scores can be compared.

    Raises:
        ValueError: there is no base, a metric is missing, or variants differ in what was scored.
    """
    if BASE not in scores:
        raise ValueError(f"evaluate.variants: 'base' is missing (found: {', '.join(scores)})")
    if not any(len(frame) for frame in scores[BASE].values()):
        raise ValueError("evaluate@base: no image has a score. Run `dvc repro evaluate@base`.")
    if unknown := set(metrics) - set(scores[BASE]):
        raise ValueError(f"evaluate@base: no scores of {', '.join(sorted(unknown))}")
    for variant, frames in scores.items():
        if set(frames) != set(scores[BASE]):
            raise ValueError(
                f"evaluate@{variant}: metrics {sorted(frames)}, but base has {sorted(scores[BASE])}. "
                f"Run `dvc repro evaluate@base evaluate@{variant}`."
            )
        for metric, frame in frames.items():
            if differing := len(_images(frame) ^ _images(scores[BASE][metric])):
                raise ValueError(
                    f"evaluate@{variant}: {metric} and base's {metric} differ in {differing} images; pairs "
                    f"need the same prompts and k. Run `dvc repro evaluate@base evaluate@{variant}`."
                )


def _prompts(scores: Scores) -> list[str]:
    return sorted(set().union(*(frame["prompt_id"] for frame in scores[BASE].values())))


def _images(frame: pd.DataFrame) -> set[tuple[str, int]]:
    return set(zip(frame["prompt_id"], frame["k"], strict=True))


def _per_prompt(frame: pd.DataFrame, column: str = "merit") -> pd.Series:
    return judged(frame).sort_values("k").groupby("prompt_id")[column].mean()


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _win_rate(gain: np.ndarray) -> float:
    """Share of prompts the variant wins; a tie is half."""
    tie = np.abs(gain) < ROUNDING
    return (1.0 + _mean(np.where(tie, 0.0, np.sign(gain)))) / 2


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    # 0.0 is added so that -0.0 reads 0.0
    return {name: round(float(value), 6) + 0.0 for name, value in values.items() if np.isfinite(value)}


def _entry(
    scores: Scores, table: pd.DataFrame, variant: str, metric: str, counts: np.ndarray, lower: bool
) -> dict[str, float]:
    """One variant in one metric; ``table`` holds the prompt means of all variants."""
    frame, base = scores[variant][metric], scores[BASE][metric]
    abstained, in_base = (len(each) - len(judged(each)) for each in (frame, base))
    numbers = {"mean": _mean(_per_prompt(frame, "score").to_numpy())}
    if variant != BASE:
        gain = (table[variant] - table[BASE]).to_numpy()
        numbers |= {"gain": _mean(gain), **interval(resampled_mean(gain, counts)), "win_rate": _win_rate(gain)}
    over_first = None
    if FIRST in scores and variant != FIRST:
        gain = (table[variant] - table[FIRST]).to_numpy()
        over_first = Gain(**_rounded({"gain": _mean(gain), **interval(resampled_mean(gain, counts))}))
    more = abstained > in_base
    found = Result(
        **_rounded(numbers),
        abstained=abstained,
        more_abstentions=more,
        lower_is_better=lower,
        over_first=over_first,
    )
    return found.model_dump(exclude_defaults=True)


def _summary(
    means: Mapping[str, pd.DataFrame], metrics: Sequence[str], counts: np.ndarray
) -> dict[str, dict[str, float]]:
    """Each variant's standardised gain over base, and the mixture's over the uniform merge.

    A metric in which base has no spread has no unit: it is left out for all variants and counted.
    """
    usable = [metric for metric in metrics if means[metric][BASE].std(ddof=0) > ROUNDING]
    variants = next(iter(means.values())).columns
    lacking = {"metrics_left_out": len(metrics) - len(usable)} if len(usable) < len(metrics) else {}
    pairs = {variant: ("score", variant, BASE) for variant in variants if variant != BASE}
    if {MIXTURE, UNIFORM} <= set(variants):
        pairs["mixture_minus_uniform"] = ("gain", MIXTURE, UNIFORM)
    if FIRST in variants:
        pairs |= {f"{name}_minus_{FIRST}": ("gain", name, FIRST) for name in (BASE, MIXTURE) if name in variants}
    result = {}
    for name, (title, variant, reference) in pairs.items() if usable else ():
        value, samples = standardised_gain(means, usable, variant, reference, counts)
        result[name] = _rounded({title: value, **interval(samples)}) | lacking
    return result


def gains(comparison: Comparison) -> pd.DataFrame:
    """The table of variants x metrics as rows ``variant, metric, gain``, for plots."""
    rows = [
        (variant, metric, entry["gain"])
        for variant, metrics in comparison.items()
        if variant != "summary"
        for metric, entry in metrics.items()
        if "gain" in entry
    ]
    return pd.DataFrame(rows, columns=["variant", "metric", "gain"])
