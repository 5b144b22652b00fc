"""`versat2i sample`."""

from pathlib import Path

import click

from versat2i.cli import GivenPath
from versat2i.settings import params
from versat2i.work import places


@click.command()
@click.argument("prompts", nargs=-1, required=True)
@click.option("--variant", default="mixture", show_default=True, help="As in evaluate.variants of params.yaml.")
@click.option(
    "--compare", "others", multiple=True, help="Another variant to draw beside it, e.g. base. May be repeated."
)
@click.option("--images", default=1, show_default=True, type=click.IntRange(1), help="Of each prompt.")
@click.option("--seed", default=0, show_default=True)
@click.option("--weight", "weights", multiple=True, metavar="ASPECT=W", help="In place of the gates. May be repeated.")
@click.option("--out", default=Path("samples"), type=GivenPath(), show_default=True)
def main(
    prompts: tuple[str, ...],
    variant: str,
    others: tuple[str, ...],
    images: int,
    seed: int,
    weights: tuple[str, ...],
    out: Path,
) -> None:
    """Draw PROMPTS: an image each into the folder OUT, and a sheet of all into OUT/sheets.

    Images of an earlier run in OUT move to OUT/earlier.

    Model, steps and guidance are those of params.yaml. With --weight the named experts get that
    weight in every layer and all others none.

    \b
    Examples:
        versat2i sample "a red circle above a blue square" --compare base
        versat2i sample "three green stars" --images 4 --seed 1 --weight geometry=0.5 --weight aesthetic=0.5
    """
    from versat2i.compare import grid
    from versat2i.prompts import lengths
    from versat2i.settings import compute
    from versat2i.tools import sample  # torch takes seconds to import

    settings = params.load()
    fixed = dict(_weight(text) for text in weights)
    columns = {}
    for name in dict.fromkeys([*others, variant]):
        adapter = None if name in (params.BASE, params.FIRST) else places.adapter(name)
        base = settings.model.first if name == params.FIRST else settings.model
        chosen = fixed if name == variant else {}
        model = sample.load(base, adapter, chosen, compute.load())
        columns[name] = list(sample.draw(model, list(prompts), images, seed, settings.evaluate))
    if told := lengths.warning(lengths.cut({text: text for text in prompts}, lengths.readers(settings.model))):
        click.echo(f"sample: {told}", err=True)
    labels = [text for text in prompts for _ in range(images)]
    if moved := grid.put_aside(out):
        click.echo(f"moved an earlier run's images to {moved}")
    for path in grid.save(columns, labels, out):
        click.echo(f"wrote {path}")


def _weight(text: str) -> tuple[str, float]:
    aspect, _, value = text.partition("=")
    try:
        return aspect, float(value)
    except ValueError:
        raise ValueError(f"--weight {text}: expected ASPECT=NUMBER, e.g. geometry=0.5") from None
