"""`versat2i compare` prints a line a variant and metric that both revisions have."""

import json
import subprocess

import pytest
from commands import run


def cell(mean):
    return {"mean": mean, "abstained": 0}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Base at 0.5 in the commit, at 0.625 in the workspace."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "metrics/evaluate.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"base": {"tifa": cell(0.5), "piqe": cell(3.0)}, "summary": {}}))
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)
    path.write_text(json.dumps({"base": {"tifa": cell(0.625)}, "summary": {}}))
    return path


def test_what_both_have_is_printed_to_four_digits(repository):
    result = run("compare", "HEAD")
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()] == [
        ["variant", "metric", "before", "after", "change", "gain", "before", "gain", "after"],
        ["base", "tifa", "0.5000", "0.6250", "0.1250"],
    ]


def test_revisions_with_nothing_in_common_are_said_to_have_none(repository):
    repository.write_text(json.dumps({"mixture": {"tifa": cell(0.5)}, "summary": {}}))
    result = run("compare", "HEAD")
    assert result.exit_code == 1
    assert result.output == "Error: HEAD and workspace have no variant and metric in common\n"
