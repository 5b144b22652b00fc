"""`versat2i plan`."""

from pathlib import Path

import click

from versat2i.settings import compute, params


@click.command()
@click.option("--untimed", is_flag=True, help="Count only; nothing is loaded or timed.")
@click.option("--estimate", is_flag=True, help="From the model's configs alone: no weights, no GPU.")
@click.option("--params", "file", type=Path, default=Path("params.yaml"), help="Another params file, such as a preset.")
@click.option("--configs", type=Path, help="With --estimate: a diffusers folder to read them from; needs no weights.")
@click.option("--prompts", type=int, nargs=3, help="With --estimate: how many train, dev and eval prompts there are.")
@click.option("--utilisation", type=click.FloatRange(0, 1, min_open=True), help="With --estimate: of a device's rate.")
def main(
    untimed: bool,
    estimate: bool,
    file: Path,
    configs: Path | None,
    prompts: tuple[int, int, int] | None,
    utilisation: float | None,
) -> None:
    """Say how many images, hours and gigabytes a run of params.yaml takes, before it is paid for.

    One batch of each kind of work is timed on this machine, warm. A variant is taken to draw as fast as the base, and
    what the work store holds already is not looked at. With --estimate nothing is timed: operations are counted from
    the model's configs and divided by what devices can do.

    \b
    Examples:
        versat2i plan
        versat2i plan --untimed
        versat2i plan --estimate
        versat2i plan --estimate --params presets/sdxl.yaml --prompts 4079 1059 553
    """
    if not estimate and (configs or prompts or utilisation):
        raise click.UsageError("--configs, --prompts and --utilisation belong to --estimate")
    settings, machine = params.load(file), compute.load()

    from versat2i.tools import estimate as estimating  # torch and diffusers take seconds to import
    from versat2i.tools import plan

    if not estimate:
        click.echo("\n".join(plan.report(settings, machine, timed=not untimed)))
        return
    known = dict(zip(("train", "dev", "eval"), prompts, strict=True)) if prompts else plan.amounts(settings)[1]
    share = estimating.UTILISATION if utilisation is None else utilisation
    click.echo("\n".join(estimating.report(settings, machine, known, configs, share)))
