"""`versat2i costs`."""

import click

from versat2i.work import timings


@click.command()
def main() -> None:
    """Print what each stage cost the last time it ran on this machine.

    \b
    Example:
        versat2i costs
    """
    lines = timings.table()
    click.echo("\n".join(lines) if lines else "no stage has run here yet")
