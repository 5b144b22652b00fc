"""Two revisions of a run, side by side."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from versat2i.compare import grid
from versat2i.formats import shards, tables
from versat2i.tools import revisions


def entry(mean, gain):
    return {"mean": mean, "gain": gain, "low": gain - 0.01, "high": gain + 0.01, "win_rate": 0.5, "abstained": 0}


def results(shift):
    return {
        "base": {"tifa": {"mean": 0.5, "abstained": 0}},
        "mixture": {"tifa": entry(0.6 + shift, 0.1 + shift)},
        "summary": {"mixture": {"score": 0.3}},
    }


def git(*arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with results of one commit and others in the workspace."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "metrics" / "evaluate.json"
    path.parent.mkdir()
    path.write_text(json.dumps(results(0.0)))
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    path.write_text(json.dumps(results(0.05)))
    return tmp_path


def test_means_and_gains_stand_beside_each_other(clone):
    table = revisions.changes(revisions.metrics("HEAD"), revisions.metrics("workspace"))
    assert table["variant"].tolist() == ["base", "mixture"]
    row = table.iloc[1]
    assert (row["before"], row["after"], row["change"]) == (0.6, pytest.approx(0.65), pytest.approx(0.05))
    assert row["gain before"] == "+0.1000 [+0.0900, +0.1100]" and table.iloc[0]["gain before"] == ""


def test_only_what_both_have_is_compared():
    before, after = results(0.0), results(0.0)
    after["geometry"] = {"tifa": entry(0.5, 0.0)}
    del before["mixture"]
    assert revisions.changes(before, after)["variant"].tolist() == ["base"]


def test_an_unknown_revision_is_one_line(clone):
    with pytest.raises(ValueError, match=r"^git knows no revision 'nowhere'; expected a branch, a tag or a commit$"):
        revisions.metrics("nowhere")


def test_a_revision_without_results_is_one_line(clone):
    git("rm", "-q", "--cached", "metrics/evaluate.json")
    git("commit", "-qm", "none")
    with pytest.raises(
        ValueError, match=r"^HEAD has no results: metrics/evaluate.json is not in that commit. Run `dvc"
    ):
        revisions.metrics("HEAD")


def test_a_workspace_without_results_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no results yet. Run `dvc repro`"):
        revisions.metrics("workspace")


def test_the_grid_has_a_column_a_revision(tmp_path, monkeypatch):
    """The workspace beside itself needs no DVC."""
    monkeypatch.chdir(tmp_path)
    image = np.full((8, 8, 3), 77, np.uint8)
    latents = np.zeros((1, 2, 2), np.float32)
    shards.write(tmp_path / "data/evaluation/mixture/images/00000-000", [shards.Candidate("p", 0, 0, image, latents)])
    prompts = pd.DataFrame([("p", "a red circle", "test", "")], columns=tables.SCHEMAS["prompts"].names)
    tables.write("prompts", prompts, tmp_path / "data/prompts/eval.parquet")
    sheet = np.asarray(Image.open(revisions.images(["workspace"], "mixture", "eval", 4, tmp_path / "grid.png")))
    top, left = grid.TEXT_HEIGHT + grid.MARGIN, grid.MARGIN
    assert (sheet[top : top + 16, left : left + 16] == 77).all()
