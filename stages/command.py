"""Run a stage's main: one-line errors, a summary line, the time it took."""

import functools
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from stages import graph
from versat2i.settings import environment
from versat2i.work import failures, timings


def stage(main: Callable[..., str]) -> Callable[..., None]:
    """Run a stage: print the summary it returns with the time; turn errors and signals into one clear line.

    Timings go to the work store, where `make repro` and `versat2i costs` read them: nothing that DVC
    hashes may hold a time.
    """

    @functools.wraps(main)
    def run(**arguments: str) -> None:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        warnings.filterwarnings("ignore", category=FutureWarning)
        name = "@".join([Path(main.__code__.co_filename).stem, *arguments.values()])
        start = time.monotonic()
        problem = summary = ""
        try:
            with failures.terminable():  # within the try: a stop may come while it is entered or left
                environment.check()
                graph.check()
                summary = main(**arguments)
        except (Exception, KeyboardInterrupt) as error:
            problem = failures.line(error, name)
        # raised here, so that nothing holds the frames of the work any more: its generators close, and with them
        # worker processes that were still to begin another shard
        if problem:
            failures.ends(1)
            raise click.ClickException(problem)
        seconds = time.monotonic() - start
        click.echo(f"{name}: {summary} in {seconds:.1f} s")
        timings.note(name, seconds)
        failures.ends(0)

    return run
