"""Print the results and what each stage took; no stage of the pipeline itself."""

import click

from versat2i.compare.results import Evaluation, Together, title
from versat2i.formats import records
from versat2i.work import places, timings

BASE = "base"


def _results(found: Evaluation) -> list[str]:
    """Variants x metrics: base's mean, then each variant's gain with its 95 % interval."""
    base = found.variants[BASE]
    means = ["-" if result.mean is None else f"{result.mean:.4f}" for result in base.values()]
    rows = {"variant": [title(name, result.lower_is_better) for name, result in base.items()], "base (mean)": means}
    for variant, results in found.variants.items():
        if variant != BASE:
            rows[variant] = [results[name].told() if name in results else "-" for name in base]
    return ["".join([f"{name:<14}", *(f"{cell:>30}" for cell in cells)]) for name, cells in rows.items()]


def _summary(summary: dict[str, Together]) -> list[str]:
    lines = [f"{name:<22} {gain.told(3)}" for name, gain in summary.items()]
    return ["", "mean gain over the aspects, in standard deviations of base", *lines] if lines else []


@click.command()
def main() -> None:
    """Print metrics/evaluate.json as a table, and the time of each stage.

    \b
    Example:
        python -m versat2i.tools.table
    """
    path = places.metrics("evaluate")
    if not path.exists():
        raise click.ClickException(f"{path}: no results yet. Run `make repro` first")
    try:
        found = records.read(path, Evaluation)
        if BASE not in found.variants:
            raise ValueError(f"{path}: has no base, which gains are told against. Run `dvc repro`")
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    took = timings.table()
    heading = ["", "last time of each stage"] if took else []
    click.echo("\n".join(["", *_results(found), *_summary(found.summary), *heading, *took]))


if __name__ == "__main__":
    main()
