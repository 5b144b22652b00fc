"""`versat2i rewards`."""

import click

from versat2i import rewards
from versat2i.rewards.registry import unknown


@click.command()
@click.argument("aspect", required=False)
def main(aspect: str | None) -> None:
    """List the evaluators: aspect, name, metric, range, licence.

    \b
    Examples:
        versat2i rewards
        versat2i rewards geometry
    """
    shown = [(known, name) for known, name in rewards.catalogue() if aspect in (None, known)]
    if not shown:
        raise unknown("aspect", str(aspect), {known for known, _ in rewards.catalogue()})
    rows = [("aspect", "evaluator", "metric", "range", "licence"), *(_row(*entry) for entry in shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(aspect: str, name: str) -> tuple[str, str, str, str, str]:
    try:
        reward = rewards.load(aspect, name)
    except ValueError as error:  # it needs options, or a package that is not installed
        return (aspect, name, "-", "-", str(error))
    low, high = reward.range
    arrow = "" if reward.higher_is_better else ", lower is better"
    return (aspect, name, reward.metric, f"{low:g} to {high:g}{arrow}", reward.licence)
