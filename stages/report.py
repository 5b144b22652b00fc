"""Stage `report`."""

import click

from stages.command import stage
from versat2i import layout, params, work
from versat2i.report import page


@click.command()
@stage
def main() -> str:
    """Write the page that shows what the pipeline has done.

    \b
    Example:
        python -m stages.report
    """
    with work.replaced(layout.REPORT) as out:
        shown = page.write(params.load(), out)
    return f"{shown} images in {layout.REPORT / page.PAGE},"


if __name__ == "__main__":
    main()
