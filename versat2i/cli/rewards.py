"""`versat2i rewards`."""

from collections import defaultdict

import click

from versat2i import rewards
from versat2i.rewards.common.registry import factory, required, unknown


@click.command()
@click.argument("aspect", required=False)
def main(aspect: str | None) -> None:
    """List the evaluators: aspect, name, metric, range, options they need, licence; then the metrics of pyiqa.

    \b
    Examples:
        versat2i rewards
        versat2i rewards geometry
    """
    shown = [(known, name) for known, name in rewards.catalogue() if aspect in (None, known)]
    if not shown:
        raise unknown("aspect", str(aspect), {known for known, _ in rewards.catalogue()})
    rows = [("aspect", "evaluator", "metric", "range", "needs", "licence"), *(_row(*entry) for entry in shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if any(name == "pyiqa:" for _, name in shown):
        click.echo(f"\n{_metrics_of_pyiqa()}")


def _metrics_of_pyiqa() -> str:
    """Which metrics can be built here, and which package the others lack."""
    from versat2i.rewards.common import iqa  # heavy

    by_package: dict[str | None, list[str]] = defaultdict(list)
    try:
        for metric, package in iqa.lacking().items():
            by_package[package].append(metric)
    except ValueError as error:  # it is not installed
        return str(error)
    work = by_package.pop(None, [])
    lines = [f"pyiqa:<metric> works here with {len(work)} of {len(iqa.names())}: {', '.join(work)}"]
    lines += [f"not installed: {package}, needed by {', '.join(found)}" for package, found in by_package.items()]
    return "\n".join(lines)


def _row(aspect: str, name: str) -> tuple[str, str, str, str, str, str]:
    """Describe an evaluator in one row; one that needs options is described by its class, without making it."""
    try:
        make = factory(aspect, name)
        needs = required(make)
        reward = make if needs else make()
    except ValueError as error:  # it needs a package that is not installed
        return (aspect, name, "-", "-", "-", str(error))
    licence, metric = getattr(reward, "licence", "-"), getattr(reward, "metric", "-")
    if name.endswith(":"):
        return (aspect, f"{name}<metric>", "<metric>", "-", "-", licence)
    return (aspect, name, metric, _range(reward), ", ".join(needs) or "-", licence)


def _range(reward: object) -> str:
    low, high = getattr(reward, "range", (None, None))
    if low is None:
        return "-"
    arrow = "" if getattr(reward, "higher_is_better", True) else ", lower is better"
    return f"{low:g} to {high:g}{arrow}"
