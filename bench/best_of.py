"""How many candidates would base have to draw to be as good as a variant that draws one?

Base draws K images for each evaluation prompt, and the best of n of them is taken by an evaluator. The mean over all
choices of n images out of K is known without drawing again: of K sorted scores the i-th smallest is the best of n with
probability ``C(i - 1, n - 1) / C(K, n)``.
"""

from itertools import pairwise
from math import comb
from pathlib import Path

import click
import numpy as np
import pandas as pd

from bench import study
from versat2i.compare import statistics
from versat2i.formats import tables
from versat2i.settings import reader
from versat2i.settings.params import BASE
from versat2i.work import places

DRAWN = 8  # images a prompt
SIZES = (1, 2, 4, 8)


def expected_best(scores: np.ndarray, size: int) -> float:
    """Mean of the best of `size` scores over all choices among them; NaN is never the best, all of NaN give NaN.

    Args:
        scores: of one prompt's images, ``[amount]``, higher is better.
        size: how many are drawn, at most ``amount``.
    """
    known = np.sort(scores[np.isfinite(scores)])
    if not known.size:
        return float("nan")
    lost = len(scores) - len(known)  # those that abstained come last in every choice
    weights = np.array([comb(lost + i, size - 1) for i in range(len(known))]) / comb(len(scores), size)
    return float(weights @ known / weights.sum())


def per_prompt(table: pd.DataFrame, size: int) -> pd.Series:
    """`expected_best` of the merits of each prompt in one metric, indexed by ``prompt_id``."""
    known = table["merit"].where(table["abstained"].isna()).astype(float)
    return known.groupby(table["prompt_id"]).agg(lambda scores: expected_best(scores.to_numpy(), size))


def needed(means: dict[int, float], value: float) -> float:
    """How many candidates reach a value, between two sizes by ``log2`` of their number; inf where none does."""
    sizes = sorted(means)
    if value <= means[sizes[0]]:
        return 1.0
    for low, high in pairwise(sizes):
        if value <= means[high]:
            share = (value - means[low]) / (means[high] - means[low])
            return float(low * (high / low) ** share)
    return float("inf")


def table(base: dict[str, pd.DataFrame], variant: dict[str, pd.DataFrame], metrics: list[str]) -> pd.DataFrame:
    """A row a metric, in its own unit: base's mean, its best of n, the variant's mean, and the n that it is worth.

    Args:
        base: metric -> scores of base's `DRAWN` images a prompt.
        variant: metric -> scores of the variant.
        metrics: those to tell.
    """
    rows = {}
    for metric in metrics:
        means = {size: float(per_prompt(base[metric], size).mean()) for size in SIZES}
        reached = float(per_prompt(variant[metric], 1).mean())
        sign = -1 if statistics.lower_is_better(base[metric]) else 1
        rows[metric] = {f"best of {size}": sign * mean for size, mean in means.items()}
        rows[metric] |= {"variant": sign * reached, "worth": needed(means, reached)}
        rows[metric]["share"] = (reached - means[1]) / (means[DRAWN] - means[1])
    return pd.DataFrame.from_dict(rows, orient="index").rename(columns={"best of 1": "base"})


def of_base(out: Path) -> dict[str, pd.DataFrame]:
    """metric -> scores of base's `DRAWN` images a prompt, with params.yaml as it is."""
    settings = reader.parse(Path("params.yaml").read_text())
    study.put(settings, {"evaluate.per_prompt": DRAWN, "evaluate.variants": [BASE], "evaluate.judges": []})
    study.draw(out, settings, Path.cwd(), [("prompts",), ("evaluate", BASE)])
    return statistics.by_metric(tables.read("evaluation", out / places.evaluation(BASE) / "scores.parquet"))


def chart(rows: pd.DataFrame, variant: str, path: Path) -> None:
    """Draw a panel a metric: base's best of n over n, and the variant's mean at one image as a line across.

    Args:
        rows: from `table`.
        variant: its name.
        path: an SVG file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(rows), 2.3), layout="constrained")
    for axes, (metric, row) in zip(np.ravel(figure.subplots(1, len(rows))), rows.iterrows(), strict=True):
        best = [row["base"], *(row[f"best of {size}"] for size in SIZES[1:])]
        axes.plot(SIZES, best, marker="o", color="#8a9299", label="base, best of n")
        axes.axhline(row["variant"], color="#c2410c", label=f"{variant}, one image")
        axes.set(title=str(metric), xscale="log", xticks=SIZES, xticklabels=SIZES, xlabel="images drawn, n")
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=7, loc="lower right")
    with mpl.rc_context({"svg.hashsalt": "best-of", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


@click.command()
@click.argument("variant", default="mixture")
@click.option("--out", default=Path(".study/best-of"), type=Path, show_default=True, help="A folder to draw in.")
@click.option("--chart", "picture", type=Path, help="An SVG file to draw the table into.")
def main(variant: str, out: Path, picture: Path | None) -> None:
    """Compare VARIANT of a finished run with the best of 2, 4 and 8 images of base on the same prompts.

    \b
    Example:
        python -m bench.best_of mixture
    """
    measures = tables.measures(places.evaluation(BASE) / "scores.parquet")
    metrics = {measure.aspect: measure.metric for measure in measures if measure.aspect}
    drawn = of_base(out)
    found = statistics.by_metric(tables.read("evaluation", places.evaluation(variant) / "scores.parquet"))
    rows = table(drawn, found, list(metrics.values()))
    click.echo(rows.round(3).to_markdown())
    if picture:
        chart(rows, variant, picture)
    for aspect, metric in metrics.items():
        own = places.evaluation(aspect) / "scores.parquet"
        if own.exists():
            gain, low, high = share(drawn[metric], statistics.by_metric(tables.read("evaluation", own))[metric])
            click.echo(f"{aspect}: its expert has {gain:.2f} [{low:.2f}, {high:.2f}] of what the best of {DRAWN} gains")


def share(base: pd.DataFrame, expert: pd.DataFrame, seed: int = 0, resamples: int = 2000) -> tuple[float, float, float]:
    """An expert's gain as a share of that of the best of `DRAWN`, with its 95 % interval over prompts."""
    mean, best, reached = per_prompt(base, 1), per_prompt(base, DRAWN), per_prompt(expert, 1)
    gained, possible = (reached - mean).to_numpy(), (best - mean).to_numpy()
    counts = statistics.bootstrap_counts(len(gained), seed=seed, resamples=resamples)
    samples = statistics.resampled_mean(gained, counts) / statistics.resampled_mean(possible, counts)
    ends = statistics.interval(samples)
    return float(np.nanmean(gained) / np.nanmean(possible)), ends["low"], ends["high"]


if __name__ == "__main__":
    main()
