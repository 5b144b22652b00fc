"""The command line: what it prints, and one line for what goes wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run
from PIL import Image

from versat2i.cli import COMMANDS
from versat2i.work import timings

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


def test_an_error_that_was_not_foreseen_is_one_line_and_its_traceback_is_kept(clone, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(clone / "work"))
    monkeypatch.setattr(timings, "table", lambda: {}["none"])
    result = run("costs")
    kept = clone / "work" / "errors" / "costs.txt"
    assert result.exit_code == 1 and result.output == f"Error: costs: KeyError: 'none' (traceback in {kept})\n"
    assert "Traceback" in kept.read_text()


def test_a_command_that_is_stopped_says_so(clone, monkeypatch):
    monkeypatch.setattr(timings, "table", lambda: os.kill(os.getpid(), signal.SIGTERM))
    result = run("costs")
    assert result.exit_code == 1 and result.output == "Error: costs: stopped\n"


def test_a_command_below_the_root_works_there_and_its_paths_are_the_callers(clone, monkeypatch):
    below = clone / "pictures" / "mine"
    below.mkdir(parents=True)
    Image.new("RGB", (64, 64), "white").save(below / "white.png")
    monkeypatch.chdir(below)
    result = run("score", "white.png", "--prompt", "a red circle on a white background", "--aspect", "faithfulness")
    assert result.exit_code == 0 and result.output.split()[:2] == ["pictures/mine/white.png", "tifa"]
    assert Path.cwd() == below


def test_a_reader_that_has_enough_ends_a_command_without_a_word():
    command = f"{sys.executable} -c 'from versat2i.cli import main; main()' rewards"
    done = subprocess.run(["bash", "-c", f"{command} | head -1"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("aspect") and done.stderr == ""
