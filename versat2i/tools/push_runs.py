"""Complete what `dvc push --run-cache` sends; no stage of the pipeline itself."""

from pathlib import Path

import click

from versat2i.tools import dvc, run_cache

LISTING = Path("runs.dvc")  # there while it is sent


@click.command()
def main() -> None:
    """Send the metrics and plots of every run, so that the run cache restores them anywhere.

    \b
    Example:
        dvc push --run-cache && python -m versat2i.tools.push_runs
    """
    try:
        objects = run_cache.small(Path(dvc.output("cache", "dir")))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not objects:
        return
    try:
        LISTING.write_text(run_cache.listing(objects))
        click.echo(f"metrics and plots of all runs: {dvc.output('push', str(LISTING))}")
    finally:
        LISTING.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
