"""`versat2i fetch`."""

import click

from versat2i.settings import compute, params


@click.command()
def main() -> None:
    """Download every model and metric weight that params.yaml names, ahead of a run.

    After it the pipeline runs with the hub switched off (HF_HUB_OFFLINE=1). What is there already costs nothing.

    \b
    Example:
        versat2i fetch
    """
    from versat2i.tools import fetch  # torch and diffusers take seconds to import

    amount = fetch.everything(params.load(), compute.load(), click.echo)
    click.echo(f"{amount} fetched or found" if amount else "nothing to fetch: params.yaml names no model of a hub")
