"""Draw a grid of evaluated variants side by side; no stage of the pipeline itself."""

from pathlib import Path

import click

from versat2i import gallery, layout, params


@click.command()
@click.argument("variants", nargs=-1, required=True)
@click.option("--rows", default=8, show_default=True, help="Prompts to show, the first of the evaluation.")
@click.option("--out", default=Path("grid.png"), type=Path, show_default=True)
def main(variants: tuple[str, ...], rows: int, out: Path) -> None:
    """Show the same prompts and seeds for VARIANTS.

    \b
    Example:
        python -m stages.grid base mixture --out grid.png
    """
    try:
        gallery.show(list(variants), layout.prompts(params.load().evaluate.split), rows, out)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
