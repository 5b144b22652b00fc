"""Ask git and dvc."""

import re
import subprocess
import sys
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILED = re.compile(r"(error|fatal|ERROR)\b:?\s*(unexpected error - )?", re.I)
_TALK = re.compile(r"(warning|hint|note|having any troubles)\b", re.I)


class Failed(ValueError):
    """A command failed.

    Attributes:
        reason: the line in which it says what failed, empty if it said nothing.
    """

    def __init__(self, command: str, reason: str, status: int) -> None:
        super().__init__(f"{command}: {reason or f'failed with {status}'}")
        self.reason = reason


def output(program: str, *arguments: str) -> str:
    """Standard output of a command; a program of this Python environment goes before others of its name.

    Raises:
        ValueError: the program is not there; `Failed`: it failed.
    """
    own = Path(sys.executable).with_name(program)
    command = [str(own) if own.exists() else program, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise ValueError(f"{program} is not installed, or not on PATH") from None
    if done.returncode:
        raise Failed(f"{program} {' '.join(arguments[:3])}", reason(done.stderr), done.returncode)
    return done.stdout


def reason(said: str) -> str:
    """The first line that reports an error, since git and dvc print others around it; without one, the last line."""
    lines = [line for line in map(str.strip, _COLOUR.sub("", said).splitlines()) if line]
    errors = [line for line in lines if _FAILED.match(line)]
    others = [line for line in lines if not _TALK.match(line)]
    return _FAILED.sub("", errors[0], count=1) if errors else others[-1] if others else ""
