"""Find the best constant weights of a run's experts on dev: what a gate or a distilled LoRA has to beat.

First one weight for all, from a few; then each expert's own is made smaller or larger in turn and kept where that is
better, round by round.
"""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd

from bench import unite
from versat2i.compare.results import Evaluation
from versat2i.formats import records
from versat2i.settings import params
from versat2i.work import places

Weights = dict[str, float]
CONSTANT = "constant"


def search(
    score: Callable[[Weights], float], experts: list[str], common: tuple[float, ...], factor: float, rounds: int
) -> list[tuple[Weights, float]]:
    """Climb from the best common weight, one expert at a time.

    Args:
        score: how good weights are, higher is better; asked once for each.
        experts: their names.
        common: weights to try for all alike.
        factor: by which an expert's weight is divided and multiplied.
        rounds: how often each expert has its turn, at most; a round that finds nothing better is the last.

    Returns:
        all weights that were tried with their scores, in order.
    """
    tried: list[tuple[Weights, float]] = []

    def better(best: tuple[Weights, float] | None, weights: Weights) -> tuple[Weights, float]:
        known = next((value for other, value in tried if other == weights), None)
        value = score(weights) if known is None else known
        if known is None:
            tried.append((weights, value))
        return (weights, value) if best is None or value > best[1] else best

    best: tuple[Weights, float] | None = None
    for weight in common:
        best = better(best, dict.fromkeys(experts, weight))
    for _ in range(rounds):
        start = best
        for expert in experts:
            for change in (1 / factor, factor):
                assert best is not None
                best = better(best, best[0] | {expert: round(best[0][expert] * change, 4)})
        if best == start:
            break
    return tried


def reached(root: Path, table: pd.DataFrame, by: str) -> float:
    """How good the constant weights of a finished trial are: by the `summary`, or the `least` share of an own gain."""
    if by == "least":
        return float(unite.shares(table, unite.own_metrics(root)).loc[CONSTANT, "least"])
    gain = records.read(root / places.metrics("evaluate"), Evaluation).summary[CONSTANT].gain
    return float("-inf") if gain is None else gain


@click.command()
@click.option("--run", "run_", default=Path(), type=Path, help="The folder of the run to start from.  [default: here]")
@click.option("--by", type=click.Choice(["summary", "least"]), default="summary", show_default=True)
@click.option("--rounds", default=1, show_default=True, help="How often each expert's weight has its turn, at most.")
@click.option(
    "--out", default=Path(".study"), type=Path, show_default=True, help="A folder for trials and their store."
)
def main(run_: Path, by: str, rounds: int, out: Path) -> None:
    """Search the weights with the best summary on dev, or with the best least share of the experts' own gains.

    \b
    Example:
        python -m bench.weights --by least
    """
    project, out, run_ = Path.cwd(), out.resolve(), run_.resolve()
    os.environ.setdefault("VERSAT2I_WORK", str(out / "store"))
    experts = params.load(run_ / "params.yaml").aspects

    def score(weights: Weights) -> float:
        root = out / "weights" / "_".join(f"{weight:g}" for weight in weights.values())
        rule = {"kind": CONSTANT, "weights": weights}
        variants = {"evaluate.variants": ["base", *experts, CONSTANT], "evaluate.split": "dev", "evaluate.judges": []}
        table = unite.trial(root, run_, [{"mix": {CONSTANT: rule}} | variants], project)
        value = reached(root, table, by)
        click.echo(f"{value:+.4f}  {weights}")
        return value

    tried = search(score, experts, common=(0.25, 0.5, 1.0), factor=1.5, rounds=rounds)
    weights, value = max(tried, key=lambda each: each[1])
    shown = ", ".join(f"{name}: {weight:g}" for name, weight in weights.items())
    click.echo(
        f"\nbest of {len(tried)} on dev, {by} {value:+.4f}:\n  constant: {{kind: constant, weights: {{{shown}}}}}"
    )


if __name__ == "__main__":
    main()
