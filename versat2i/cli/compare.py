"""`versat2i compare`."""

from pathlib import Path

import click

from versat2i.cli import GivenPath
from versat2i.settings import complaints, params


@click.command()
@click.argument("before")
@click.argument("after", default="workspace")
@click.option("--images", type=GivenPath(), help="Also write a grid of both revisions' images here.")
@click.option("--variant", default="mixture", show_default=True, help="Whose images.")
@click.option("--rows", default=8, show_default=True, type=click.IntRange(1), help="Prompts in the grid.")
def main(before: str, after: str, images: Path | None, variant: str, rows: int) -> None:
    """Compare the results of two git revisions, BEFORE and AFTER (default: the files as they are now).

    Means stand in the metric's own unit; a change or gain above zero is better.

    \b
    Examples:
        versat2i compare HEAD
        versat2i compare v1 main --images grid.png --variant geometry
    """
    from versat2i.tools import revisions  # pandas takes a second to import

    if images is not None:  # first: the work may be a download
        revisions.expect_picture(images)
        options = params.load().evaluate
        known = list(options.variants)
        if variant not in known:
            hint = complaints.hint(variant, known)
            raise ValueError(f"--variant {variant!r} is none of params.yaml's ({', '.join(known)}){hint}")
    table = revisions.changes(revisions.metrics(before), revisions.metrics(after))
    if table.empty:
        raise ValueError(f"{before} and {after} have no variant and metric in common")
    click.echo(table.to_string(index=False, float_format="{:.4f}".format))
    if images is not None:
        click.echo(f"wrote {revisions.images([before, after], variant, options.split, rows, images)}")
