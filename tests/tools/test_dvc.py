"""DVC's command line is asked, and its failure ends the command that asked."""

import pytest

from versat2i.tools import dvc


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """``fake(script)`` stands for `dvc`."""

    def install(script):
        (tmp_path / "dvc").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "dvc").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_what_it_prints_comes_back_without_the_last_line_break(fake):
    fake('printf "%s|" "$@"; echo')
    assert dvc.output("push", "two words", "-r") == "push|two words|-r|"


def test_its_exit_status_becomes_ours(fake):
    fake("echo half; exit 253")
    with pytest.raises(SystemExit) as end:
        dvc.output("push")
    assert end.value.code == 253
