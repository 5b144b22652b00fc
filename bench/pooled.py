"""Gains over several training seeds on the same prompts, with intervals over prompts and seeds together."""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from bench.study import cells, evaluations
from versat2i.compare import statistics
from versat2i.settings.params import BASE

RESAMPLES = 4000


def gains(root: Path) -> dict[str, pd.DataFrame]:
    """metric -> gain over base of each prompt (rows) and variant (columns) in a finished run's folder."""
    means = statistics.prompt_means(evaluations(root))
    return {metric: table.drop(columns=BASE).sub(table[BASE], axis=0) for metric, table in means.items()}


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
    """Pooled gains, and the least gain of a single seed, from the gains of each run.

    Returns:
        rows ``variant, metric, gain, low, high``; and a row a variant, a column a metric.
    """
    pooled, least = [], []
    for metric in runs[0]:
        for variant in runs[0][metric]:
            values = np.stack([run[metric][variant].to_numpy() for run in runs])
            pooled.append((variant, metric, *interval(values)))
            least.append((variant, metric, float(np.nanmean(values, axis=1).min())))
    worst = pd.DataFrame(least, columns=["variant", "metric", "gain"])
    order = {"index": "variant", "columns": "metric", "values": "gain"}
    return pd.DataFrame(pooled, columns=["variant", "metric", "gain", "low", "high"]), worst.pivot(**order)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=Path)
def main(runs: tuple[Path, ...]) -> None:
    """Pool finished RUNS that differ in the training seed alone.

    \b
    Example:
        python -m bench.pooled .study/seeds/seed_*
    """
    pooled, least = table([gains(root) for root in runs])
    click.echo(
        f"{len(runs)} seeds\n{cells(pooled).to_markdown()}\n\nleast gain of a seed\n{least.round(3).to_markdown()}"
    )


if __name__ == "__main__":
    main()
