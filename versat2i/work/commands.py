"""Ask git and dvc."""

import subprocess
import sys
from pathlib import Path


def output(program: str, *arguments: str) -> str:
    """Standard output of a command; a program of this Python environment goes before others of its name.

    Raises:
        ValueError: it failed; its last line says why.
    """
    own = Path(sys.executable).with_name(program)
    command = [str(own) if own.exists() else program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip() or f"failed with {done.returncode}"
        raise ValueError(f"{program} {' '.join(arguments[:3])}: {reason.splitlines()[-1]}")
    return done.stdout
