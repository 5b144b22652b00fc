"""`versat2i plan`."""

import click

from versat2i.settings import compute, params


@click.command()
@click.option("--untimed", is_flag=True, help="Count only; nothing is loaded or timed.")
def main(untimed: bool) -> None:
    """Say how many images, hours and gigabytes a run of params.yaml takes, before it is paid for.

    One batch of each kind of work is timed on this machine, warm. A variant is taken to draw as fast as the base, and
    what the work store holds already is not looked at.

    \b
    Examples:
        versat2i plan
        versat2i plan --untimed
    """
    settings, machine = params.load(), compute.load()

    from versat2i.tools import plan  # torch and diffusers take seconds to import

    click.echo("\n".join(plan.report(settings, machine, timed=not untimed)))
