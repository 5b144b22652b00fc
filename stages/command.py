"""What all stages share: one-line errors, a summary line, and the time they took."""

import functools
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from versat2i import environment, timings


def stage(main: Callable[..., str]) -> Callable[..., None]:
    """Run a stage: print the summary it returns with the time; turn errors into one clear line.

    Timings go to the work store, where `make repro` and `versat2i costs` read them: nothing that DVC
    hashes may hold a time.
    """

    @functools.wraps(main)
    def run(**arguments: str) -> None:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        warnings.filterwarnings("ignore", category=FutureWarning)
        name = "@".join([Path(main.__code__.co_filename).stem, *arguments.values()])
        start = time.monotonic()
        try:
            environment.check()
            summary = main(**arguments)
        except (ValueError, OSError) as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        seconds = time.monotonic() - start
        click.echo(f"{name}: {summary} in {seconds:.1f} s")
        timings.note(name, seconds)

    return run
