"""Gains over several training seeds on the same prompts, with intervals over prompts and seeds together."""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from bench import unite
from bench.study import cells, evaluations
from versat2i.compare import statistics
from versat2i.settings.params import BASE

RESAMPLES = 4000
SUMMARY = "summary"


def gains(root: Path, reference: str) -> dict[str, pd.DataFrame]:
    """What variants gain over one of them on each prompt, in a finished run's folder.

    Returns:
        metric -> gain of each prompt (rows) and variant (columns); `summary` is the mean over the aspects' metrics,
        each in standard deviations of base over prompts.
    """
    means = statistics.prompt_means(evaluations(root))
    found = {metric: table.drop(columns=reference).sub(table[reference], axis=0) for metric, table in means.items()}
    own = unite.own_metrics(root).values()
    parts = [found[metric] / means[metric][BASE].std(ddof=0) for metric in own]
    return found | {SUMMARY: pd.concat(parts).groupby(level=0).mean()}


def interval(gains: np.ndarray, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """Mean gain and its 95 % interval when seeds and prompts are both drawn again, with replacement.

    Seeds and prompts are crossed: every seed has every prompt, so that a resample draws rows and columns apart
    (Owen 2007, The pigeonhole bootstrap). It is wider than the truth rather than narrower.

    Args:
        gains: ``[seeds, prompts]``, NaN where nothing was scored.
        resamples: how many.
    """
    rng = np.random.default_rng(0)
    seeds, prompts = gains.shape
    by_prompt = statistics.bootstrap_counts(prompts, seed=0, resamples=resamples)
    per_seed = np.stack([statistics.resampled_mean(row, by_prompt) for row in gains], axis=1)
    chosen = rng.integers(seeds, size=(resamples, seeds))
    ends = statistics.interval(np.take_along_axis(per_seed, chosen, axis=1).mean(axis=1))
    return float(np.nanmean(gains)), ends["low"], ends["high"]


def table(runs: list[dict[str, pd.DataFrame]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pooled gains, and the least gain of a single seed, from the gains of each run; of variants that all runs have.

    Returns:
        rows ``variant, metric, gain, low, high``; and a row a variant, a column a metric.
    """
    pooled, least = [], []
    for metric in runs[0]:
        for variant in [name for name in runs[0][metric] if all(name in run[metric] for run in runs)]:
            values = np.stack([run[metric][variant].to_numpy() for run in runs])
            if np.isnan(values).all():  # as diversity is of one image a prompt
                continue
            pooled.append((variant, metric, *interval(values)))
            least.append((variant, metric, float(np.nanmean(values, axis=1).min())))
    worst = pd.DataFrame(least, columns=["variant", "metric", "gain"])
    order = {"index": "variant", "columns": "metric", "values": "gain"}
    return pd.DataFrame(pooled, columns=["variant", "metric", "gain", "low", "high"]), worst.pivot(**order)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=Path)
@click.option("--over", default=BASE, show_default=True, help="The variant that gains are told over.")
def main(runs: tuple[Path, ...], over: str) -> None:
    """Pool finished RUNS that differ in the training seed alone.

    \b
    Example:
        python -m bench.pooled .study/seeds/seed_*
        python -m bench.pooled .study/seeds/seed_* --over mixture
    """
    pooled, least = table([gains(root, over) for root in runs])
    click.echo(
        f"{len(runs)} seeds\n{cells(pooled).to_markdown()}\n\nleast gain of a seed\n{least.round(3).to_markdown()}"
    )


if __name__ == "__main__":
    main()
