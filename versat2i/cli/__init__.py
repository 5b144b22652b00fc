"""The command `versat2i`: a module a command, imported when called. In: a command line. Out: lines of text, files."""

from importlib import import_module
from typing import Any

import click

COMMANDS = ("check", "compare", "costs", "doctor", "export", "fetch", "plan", "rewards", "sample", "score", "work")


class _Commands(click.Group):
    """Commands whose modules, and all that these import, wait until they are needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return import_module(f"versat2i.cli.{name}").main if name in COMMANDS else None

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (ValueError, OSError) as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.command(cls=_Commands)
@click.version_option(package_name="versat2i")
def main() -> None:
    """Make a text-to-image model better by its own best images.

    \b
    Completion in the shell (bash; zsh and fish alike):
        eval "$(_VERSAT2I_COMPLETE=bash_source versat2i)"
    """
