"""`versat2i rounds`."""

from pathlib import Path

import click

from versat2i.cli import GivenPath
from versat2i.settings import params


@click.command()
@click.option("--variant", default=params.MIXTURE, show_default=True, help="Whose results.")
@click.option("--images", type=GivenPath(), help="Also write a grid of every round's images here.")
@click.option("--rows", default=8, show_default=True, type=click.IntRange(1), help="Prompts in the grid.")
def main(variant: str, images: Path | None, rows: int) -> None:
    """Show what each round gained, from git's tags round-0, round-1, ..., and say when to stop.

    \b
    Examples:
        versat2i rounds
        versat2i rounds --images rounds.png
    """
    from versat2i.tools import revisions, rounds  # pandas takes a second to import

    settings = params.load()
    if images is not None:  # first: the work may be a download
        revisions.expect_picture(images)
    found = rounds.read()
    judges = rounds.judges(settings)
    click.echo(rounds.curve(found, variant).to_string(index=False))
    for each in found:
        for line in rounds.brakes(each, judges, variant):
            click.echo(line)
    if images is not None:
        names = [each.revision for each in found]
        click.echo(f"wrote {revisions.images(names, variant, settings.evaluate.split, rows, images)}")
