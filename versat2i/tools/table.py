"""Print the results and what each stage took; no stage of the pipeline itself."""

import click

from versat2i.report import inputs
from versat2i.tools import revisions
from versat2i.work import places, timings


def _results(table: dict) -> list[str]:
    """Variants x metrics: base's mean, then each variant's gain with its 95 % interval."""
    base = table["base"]
    names = list(base)
    lines = ["".join([f"{'variant':<14}", *(f"{name:>30}" for name in names)])]
    lines.append("".join([f"{'base (mean)':<14}", *(f"{base[m].get('mean', float('nan')):>30.4f}" for m in names)]))
    for variant, entries in table.items():
        if variant not in ("base", "summary"):
            lines.append("".join([f"{variant:<14}", *(_cell(entries.get(name, {})) for name in names)]))
    return lines


def _cell(entry: dict) -> str:
    if "gain" not in entry:
        return f"{'-':>30}"
    text = f"{entry['gain']:+.4f} [{entry['low']:+.4f}, {entry['high']:+.4f}]"
    return f"{text:>30}"


def _summary(summary: dict) -> list[str]:
    lines = [
        f"{name:<22} {value.get('score', value.get('gain', 0)):+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"
        for name, value in summary.items()
        if isinstance(value, dict)
    ]
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
        table = inputs.read(path, revisions.Results)
        if "base" not in table:
            raise ValueError(f"{path}: has no base, which gains are told against. Run `dvc repro`")
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    took = timings.table()
    heading = ["", "last time of each stage"] if took else []
    click.echo("\n".join(["", *_results(table), *_summary(table.get("summary", {})), *heading, *took]))


if __name__ == "__main__":
    main()
