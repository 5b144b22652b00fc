"""The command line, in this process."""

from click.testing import CliRunner

from versat2i.cli import main


def run(*arguments):
    return CliRunner().invoke(main, arguments)
