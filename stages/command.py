"""What all stages share: one-line errors, a summary line, and the time they took."""

import functools
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from versat2i import environment


def stage(main: Callable[..., str]) -> Callable[..., None]:
    """Run a stage: print the summary it returns with the time; turn errors into one clear line.

    Timings go to the work store's ``timings.jsonl``, where `make repro` reads them: nothing that
    DVC hashes may hold a time.
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
        _note(name, seconds)

    return run


def _note(name: str, seconds: float) -> None:
    folder = Path(os.environ.get("VERSAT2I_WORK", ".work"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "timings.jsonl").open("a") as file:
        file.write(json.dumps({"stage": name, "seconds": round(seconds, 1)}) + "\n")
