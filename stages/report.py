"""Stage `report`."""

import click

from stages.command import stage
from versat2i.report import page
from versat2i.settings import params
from versat2i.work import files, places


@click.command()
@stage
def main() -> str:
    """Write the page that shows what the pipeline has done.

    \b
    Example:
        python -m stages.report
    """
    with files.replaced(places.REPORT) as out:
        shown = page.write(params.load(), out)
    return f"{shown} images in {places.REPORT / page.PAGE},"


if __name__ == "__main__":
    main()
