"""The command line: what it prints, and one line for what goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import run

from versat2i.cli import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0 and f"versat2i {command}" in result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from versat2i.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'diffusers', 'transformers', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
