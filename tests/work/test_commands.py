"""A command's output comes back, and its failure is one line."""

import sys
from pathlib import Path

import pytest

from versat2i.work import commands


def test_the_output_is_what_the_command_printed():
    assert commands.output("python", "-c", "print(6 * 7)") == "42\n"


def test_a_program_of_this_environment_goes_before_others_of_its_name(tmp_path, monkeypatch):
    """The Makefile may not have put it first on the path."""
    (tmp_path / "python").write_text("#!/bin/sh\necho another\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = commands.output("python", "-c", "import sys; print(sys.executable)")
    assert Path(said.strip()).parent == Path(sys.executable).parent


def test_another_program_is_found_on_the_path(tmp_path, monkeypatch):
    (tmp_path / "speaking").write_text("#!/bin/sh\necho $#\n")
    (tmp_path / "speaking").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert commands.output("speaking", "a b", "c") == "2\n"


@pytest.mark.parametrize(
    "code, reason",
    [
        ("import sys; sys.exit('first\\nno such thing')", "no such thing"),
        ("raise SystemExit(3)", "failed with 3"),
    ],
)
def test_a_failure_says_its_last_line_and_which_command_it_was(code, reason):
    with pytest.raises(ValueError) as error:
        commands.output("python", "-I", "-c", code, "never shown")
    assert str(error.value) == f"python -I -c {code}: {reason}"
