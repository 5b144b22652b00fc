"""Complete what `dvc push --run-cache` sends; no stage of the pipeline itself."""

import subprocess
from pathlib import Path

import click

from versat2i import runs

LISTING = Path("runs.dvc")  # there while it is sent


def _dvc(*arguments: str) -> str:
    """What `dvc` printed; ends with its exit status if that is not 0, as DVC has said why."""
    done = subprocess.run(["dvc", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip()


@click.command()
def main() -> None:
    """Send the metrics and plots of every run, so that the run cache restores them anywhere.

    \b
    Example:
        dvc push --run-cache && python -m stages.runs
    """
    try:
        objects = runs.small(Path(_dvc("cache", "dir")))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not objects:
        return
    try:
        LISTING.write_text(runs.listing(objects))
        click.echo(f"metrics and plots of all runs: {_dvc('push', str(LISTING))}")
    finally:
        LISTING.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
