"""Which candidates an expert learns from: threshold, then the best of each prompt, in pure pandas.

Candidates are compared by ``merit``, of which more is better; thresholds are told in the unit of the score.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context

import numpy as np
import pandas as pd

from versat2i.formats import tables
from versat2i.formats.measures import Measure

SHOWN_QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
ROUND_DOWN = Context(prec=6, rounding=ROUND_FLOOR)
KEYS = ["prompt_id", "k"]


def pick(
    scores: pd.DataFrame,
    measure: Measure,
    *,
    absolute: float | None = None,
    quantile: float | None = None,
    per_prompt: int,
    margin: float,
    min_selected: int,
    guards: Sequence[pd.DataFrame] = (),
    label: str,
) -> pd.DataFrame:
    """Keep each prompt's best candidates among those that reach the threshold.

    ``top_n {c : s(c) >= t, h(c) >= median h for each guard h}`` of each prompt that has ``max s - median s >= margin``.
    Dropping the abstained comes first; ties go to the lower k. Medians are those of all of a prompt's candidates: where
    these are all alike there is nothing to learn.

    Args:
        scores: one row a candidate: ``prompt_id, k, score, merit, abstained`` (the reason, or null).
        measure: what the scores measure.
        absolute: threshold t in the unit of the score; this or ``quantile``.
        quantile: threshold as a share of the pool, in [0, 1); see `cutoff`.
        per_prompt: most picks of one prompt, n.
        margin: least distance of a prompt's best from its median, in the unit of the score.
        min_selected: fewer picks than this are an error.
        guards: `merits` of the aspects that no pick may be bought with.
        label: who asks, opens the error message, e.g. ``select@geometry``.

    Returns:
        One row a pick: ``prompt_id, k, score, rank`` (1 = the prompt's best), sorted by prompt and rank.
    """
    pool = tables.judged(scores)
    if pool.empty:
        raise ValueError(
            f"{label}: every one of the {len(scores)} candidates abstained. Column 'details' of the scores says why."
        )
    threshold = cutoff(scores, measure, absolute=absolute, quantile=quantile)
    ranked = _ranked(pool, per_prompt, margin, guards)
    picks = ranked[ranked["merit"] >= measure.merit(threshold)]
    if len(picks) < min_selected:
        found = (
            f"{label}: {len(picks)} picks from {scores['prompt_id'].nunique()} prompts have a "
            f"{_criterion(threshold, margin, measure)}{' and pass the guard' if guards else ''}; "
            f"min_selected is {min_selected}."
        )
        advice = _advice(pool, ranked, min_selected, measure, by_quantile=quantile is not None)
        raise ValueError(f"{found} {_distribution(pool, len(scores))} {advice}")
    return picks[["prompt_id", "k", "score", "rank"]].reset_index(drop=True)


def cutoff(
    scores: pd.DataFrame, measure: Measure, *, absolute: float | None = None, quantile: float | None = None
) -> float:
    """The threshold in the unit of the score: ``absolute``, or the pool's own ``quantile``.

    A quantile q of n candidates is the score at place ``floor(q (n - 1))``, worst first: always a
    score that occurs, so at least a share 1 - q of the pool reaches it.
    """
    if absolute is not None and quantile is None:
        return absolute
    if absolute is not None or quantile is None:
        raise ValueError(f"a threshold is absolute or a quantile, not {absolute=} with {quantile=}")
    return measure.merit(float(np.quantile(tables.judged(scores)["merit"], quantile, method="lower")))


def filtered(scores: pd.DataFrame, judged: pd.DataFrame, measure: Measure, least: float, label: str) -> pd.DataFrame:
    """Take out the candidates that another aspect finds worse than a bound, or cannot judge.

    They count as abstained, so that they are no pick, no rival and no rejected one that is shown.

    Args:
        scores: as for `pick`.
        judged: scores of the same candidates in the other aspect.
        measure: what these measure.
        least: the worst score that passes, in their unit.
        label: who asks.

    Raises:
        ValueError: none passes.
    """
    passing = tables.judged(judged)
    passing = passing[passing["merit"] >= measure.merit(least)]
    passes = pd.MultiIndex.from_frame(scores[KEYS]).isin(pd.MultiIndex.from_frame(passing[KEYS]))
    if not passes.any():
        bound = f"{measure.metric} {_criterion(least, 0.0, measure)}"
        raise ValueError(f"{label}: none of the {len(scores)} candidates has a {bound}, which filter asks for")
    reason = f"filtered: {measure.metric}"
    kept = pd.Series(passes, scores.index)
    return scores.assign(
        score=scores["score"].where(kept),
        merit=scores["merit"].where(kept),
        abstained=scores["abstained"].where(kept | scores["abstained"].notna(), reason),
    )


def dropped(scores: pd.DataFrame, left: pd.DataFrame) -> dict[str, int]:
    """How many candidates that had a score were filtered out: ``filtered``, among ``abstained`` too."""
    return {"filtered": len(tables.judged(scores)) - len(tables.judged(left))}


def merits(scores: pd.DataFrame) -> pd.DataFrame:
    """Judged candidates with their merit, higher is better: ``prompt_id, k, merit``, for `pick`'s guards."""
    return tables.judged(scores)[[*KEYS, "merit"]]


def summary(scores: pd.DataFrame, picks: pd.DataFrame, *, threshold: float) -> dict[str, float]:
    """Metrics of a selection: counts, and the scores of the pool beside those of the picks.

    Args:
        scores: what `pick` was given.
        picks: what it returned.
        threshold: from `cutoff`.

    Returns:
        Plain numbers with 6 decimals; one that does not exist (the mean of nothing) is left out.
    """
    pool = tables.judged(scores)["score"]
    prompts, with_pick = scores["prompt_id"].nunique(), picks["prompt_id"].nunique()
    counts = {
        "candidates": len(scores),
        "abstained": len(scores) - len(pool),
        "prompts": prompts,
        "prompts_without_pick": prompts - with_pick,
        "picks": len(picks),
    }
    values = {
        "threshold": threshold,
        "pool_mean": pool.mean(),
        "pool_std": pool.std(ddof=0),
        "picks_mean": picks["score"].mean(),
    }
    return counts | {name: round(float(value), 6) for name, value in values.items() if np.isfinite(value)}


def distribution(scores: pd.DataFrame, picks: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Histogram the scores of pool and picks over the same bins.

    Args:
        scores: what `pick` was given, at least one of them judged.
        picks: what it returned.
        bins: how many, of equal width, from the lowest to the highest score of the pool.

    Returns:
        One row a bin: ``score`` (its middle), ``pool``, ``picks`` (the share of each that it holds).
    """
    pool = tables.judged(scores)["score"].to_numpy(float)
    edges = np.histogram_bin_edges(pool, bins)
    shares = {
        name: np.histogram(values, edges)[0] / max(1, len(values))
        for name, values in (("pool", pool), ("picks", picks["score"].to_numpy(float)))
    }
    return pd.DataFrame({"score": (edges[:-1] + edges[1:]) / 2, **shares})


def rivals(scores: pd.DataFrame, picks: pd.DataFrame, *, guards: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Pair each pick with one of the worst candidates of its prompt, for the contrast to learn from.

    A prompt's i-th best pick gets its i-th worst candidate, where candidates above the prompt's median in a guard are
    left aside. Without a worse candidate a pick is paired with itself (gap 0), and training ignores it.

    Args:
        scores: what `pick` was given.
        picks: what it returned.
        guards: as for `pick`: with both on their sides of the median, the pick loses to its rival in none of them.

    Returns:
        the picks with ``rival``, its k, and ``gap``, how much worse its score is.
    """
    pool = tables.judged(scores)
    own = picks[KEYS].merge(pool[[*KEYS, "merit"]], on=KEYS, how="left", validate="one_to_one")["merit"]
    for guard in guards:
        pool = pool[_lead(pool, guard) <= 0]
    worst_first = pool.sort_values(["prompt_id", "merit", "k"])
    worst_first = worst_first.assign(rank=worst_first.groupby("prompt_id").cumcount() + 1)
    columns = worst_first[["prompt_id", "rank", "k", "merit"]].rename(columns={"k": "rival", "merit": "worst"})
    found = picks.merge(columns, on=["prompt_id", "rank"], how="left", validate="one_to_one")
    gap = own - found["worst"]
    worse = gap > 0
    rival = found["rival"].where(worse, found["k"]).astype("int64")
    return picks.assign(rival=rival.to_numpy(), gap=gap.where(worse, 0.0).to_numpy())


def rejected(scores: pd.DataFrame, picks: pd.DataFrame, amount: int) -> pd.DataFrame:
    """The worst candidates that were judged and not picked, at most one of each prompt, worst first.

    Equally bad ones are ordered by ``prompt_id``: a hash, so they are a fair sample of the prompts.

    Returns:
        At most ``amount`` rows: ``prompt_id, k, score``.
    """
    pool = tables.judged(scores)
    picked = pd.MultiIndex.from_frame(pool[KEYS]).isin(pd.MultiIndex.from_frame(picks[KEYS]))
    worst_first = pool[~picked].sort_values(["merit", *KEYS]).drop_duplicates("prompt_id")
    return worst_first.head(amount)[[*KEYS, "score"]].reset_index(drop=True)


def _lead(pool: pd.DataFrame, guard: pd.DataFrame) -> np.ndarray:
    """Lead of each candidate over its prompt's median in a guard's merit; 0 where the guard abstained."""
    merit = guard.set_index(KEYS)["merit"]
    lead = merit - merit.groupby("prompt_id").transform("median")
    return lead.reindex(pd.MultiIndex.from_frame(pool[KEYS])).fillna(0.0).to_numpy()


def _ranked(pool: pd.DataFrame, per_prompt: int, margin: float, guards: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rank the candidates that would be picked without a threshold.

    The best n of those above a threshold are those above it of the best n: it can be applied last.
    """
    own = pool.groupby("prompt_id")["merit"]
    eligible = pool[own.transform("max") - own.transform("median") >= margin]
    for guard in guards:
        eligible = eligible[_lead(eligible, guard) >= 0]
    best_first = eligible.sort_values(["prompt_id", "merit", "k"], ascending=[True, False, True])
    ranked = best_first.assign(rank=best_first.groupby("prompt_id").cumcount() + 1)
    return ranked[ranked["rank"] <= per_prompt]


def _criterion(threshold: float, margin: float, measure: Measure) -> str:
    bound = f"score {'>=' if measure.higher_is_better else '<='} {threshold:.6g}"
    return f"{bound} and a margin of {margin:.6g} over the prompt's median" if margin > 0 else bound


def _distribution(pool: pd.DataFrame, candidates: int) -> str:
    values = np.quantile(pool["score"], list(SHOWN_QUANTILES.values()))
    shown = ", ".join(f"{name} {value:.4g}" for name, value in zip(SHOWN_QUANTILES, values, strict=True))
    return f"Scores of the {len(pool)} candidates of {candidates} that did not abstain: {shown}."


def _advice(pool: pd.DataFrame, ranked: pd.DataFrame, min_selected: int, measure: Measure, *, by_quantile: bool) -> str:
    """The strictest threshold that gives enough picks, in the terms of the rule that gave too few."""
    if len(ranked) < min_selected:
        return (
            f"No threshold would give enough: without one there are {len(ranked)} picks. Draw more "
            "prompts or candidates, lower margin or min_selected, raise per_prompt, or leave a guard out."
        )
    needed = ranked["merit"].nlargest(min_selected).iloc[-1]
    if by_quantile:
        share = _round_down((pool["merit"] < needed).sum() / max(len(pool) - 1, 1))
        bound = float(np.quantile(pool["merit"], share, method="lower"))
        named = f"quantile of {share:.6g} ({_criterion(measure.merit(bound), 0.0, measure)})"
    else:
        bound = _round_down(needed)
        # 0.0 is added so that a threshold of -0.0 reads 0
        named = f"threshold of {measure.merit(bound) + 0.0:.6g}"
    return f"A {named} would keep {(ranked['merit'] >= bound).sum()}."


def _round_down(value: float) -> float:
    """Round down to 6 significant digits: a threshold that can be typed again and keeps at least as many."""
    return float(ROUND_DOWN.create_decimal(str(float(value))))
