"""The command `versat2i`: a module a command, imported when called. In: a command line. Out: lines of text, files."""

import os
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from versat2i.work import failures, places

COMMANDS = (
    *("check", "compare", "costs", "doctor", "export", "fetch", "plan", "rewards", "rounds", "sample", "score"),
    "work",
)


class _Commands(click.Group):
    """Commands whose modules, and all that these import, wait until they are needed.

    They run in the project's root, wherever below it they are called, as those of git and dvc do.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return import_module(f"versat2i.cli.{name}").main if name in COMMANDS else None

    def invoke(self, context: click.Context) -> Any:
        here = Path.cwd()
        root = places.root(here)
        context.obj = here.relative_to(root)
        with chdir(root):
            try:
                with failures.terminable():
                    return super().invoke(context)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise  # click has its ways with these; nobody reads on: it ends without a word
            except (Exception, KeyboardInterrupt) as error:
                problem = failures.line(error, context.invoked_subcommand or "versat2i", "stopped")
        raise click.ClickException(problem)


class GivenPath(click.Path):
    """A path on the command line: relative to where the command is called, seen from the project's root."""

    def __init__(self, **expected: Any) -> None:
        super().__init__(path_type=Path, **expected)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        called = context.find_root().obj if context is not None else None
        if called is not None:
            value = os.path.normpath(called / value)
        return super().convert(value, parameter, context)


@click.command(cls=_Commands)
@click.version_option(package_name="versat2i")
def main() -> None:
    """Make a text-to-image model better by its own best images.

    \b
    Completion in the shell (bash; zsh and fish alike):
        eval "$(_VERSAT2I_COMPLETE=bash_source versat2i)"
    """
