"""Two revisions of a run, side by side."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from versat2i.cli import main
from versat2i.compare import grid
from versat2i.compare.results import Evaluation
from versat2i.formats import shards, tables
from versat2i.tools import revisions, table
from versat2i.work import commands, fingerprint


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


def test_where_lower_is_better_means_stand_in_their_unit_and_a_fall_is_a_change_above_zero():
    """PIQE goes from 44 to 40: an older record, which does not tell the direction, takes it from the other."""
    lower, untold = ({"mean": 40.0, "abstained": 0} | told for told in ({"lower_is_better": True}, {}))
    for before, after in ((lower, lower), (untold, lower), (lower, untold)):
        records = [Evaluation.model_validate({"base": {"piqe": each}, "summary": {}}) for each in (before, after)]
        records[0].of("base", "piqe").mean = 44.0
        (row,) = revisions.changes(*records).to_dict("records")
        assert (row["before"], row["after"], row["change"]) == (44.0, 40.0, 4.0)
        assert row["metric"] == "piqe (lower is better)"


def test_only_what_both_have_is_compared():
    before, after = results(0.0), results(0.0)
    after["geometry"] = {"tifa": entry(0.5, 0.0)}
    del before["mixture"]
    assert revisions.changes(*map(Evaluation.model_validate, (before, after)))["variant"].tolist() == ["base"]


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


CONFLICT = '<<<<<<< HEAD\n{"base": {}}\n=======\n{"base": {}}\n>>>>>>> other\n'


@pytest.mark.parametrize(
    "content, problem",
    [
        (CONFLICT, "line 1 is git's mark of a conflict"),
        ("[]", "expected a JSON object, found list"),
        ('{"summary": {}, "base": []}', "base: input should be a valid dictionary"),
        ('{"summary": {}, "base": {"tifa": {"mean": "0.5", "abstained": 0}}}', "base.tifa.mean: input should be a val"),
    ],
)
def test_what_is_no_result_is_named_with_its_revision_and_place(clone, content, problem):
    path = clone / "metrics" / "evaluate.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"^metrics/evaluate.json: {problem}"):
        revisions.metrics("workspace")
    git("commit", "-qam", "second")
    with pytest.raises(ValueError, match=f"^HEAD:./metrics/evaluate.json: {problem}"):
        revisions.metrics("HEAD")
    done = CliRunner().invoke(table.main)
    assert done.exit_code == 1 and done.output.startswith(f"Error: metrics/evaluate.json: {problem}")


def test_what_git_says_is_told_where_it_is_not_about_the_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ValueError, match=r"^git rev-parse --verify --quiet: not a git repository"):
        revisions.metrics("HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"^git is not installed, or not on PATH$"):
        revisions.metrics("HEAD")


FOOTER = "\n\x1b[0mHaving any troubles? Hit us up at https://dvc.org/support, we are always happy to help!\n"


@pytest.mark.parametrize(
    "said, reason",
    [
        (
            f"\x1b[31mERROR\x1b[39m: failed to get 'data/x' - no such path{FOOTER}",
            "failed to get 'data/x' - no such path",
        ),
        (f"WARNING: No file hash info found\nERROR: unexpected error - disk quota{FOOTER}", "disk quota"),
        ("hint: something\nfatal: bad object HEAD\n", "bad object HEAD"),
        ("error: one\nerror: two\n", "one"),
        ("dvc: command failed\n", "dvc: command failed"),
        ("", ""),
    ],
)
def test_the_line_that_says_what_failed_is_told(said, reason):
    assert commands.reason(said) == reason


def test_what_dvc_cannot_get_is_told_with_its_reason(clone):
    git("config", "core.autocrlf", "false")
    subprocess.run([str(Path(sys.executable).with_name("dvc")), "init", "-q"], check=True, capture_output=True)
    with pytest.raises(ValueError, match=r"^dvc get . data/evaluation/mixture: .*data/evaluation/mixture") as error:
        revisions.images(["HEAD"], "mixture", "eval", 4, clone / "x.png")
    assert "troubles" not in str(error.value)


@pytest.mark.parametrize(
    "path, problem",
    [
        ("x.pgn", "says no kind of picture"),
        ("x", "says no kind of picture"),
        ("none/x.png", "there is no folder none"),
        ("a.png", "is a folder"),
    ],
)
def test_where_a_picture_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch, path, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").mkdir()
    (tmp_path / "params.yaml").write_text((fingerprint.ROOT / "params.yaml").read_text())
    done = CliRunner().invoke(main, ["compare", "HEAD", "--images", path])
    assert done.exit_code == 1 and done.output.startswith(f"Error: {path}: ") and problem in done.output


def test_a_variant_that_params_do_not_have_is_named_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((fingerprint.ROOT / "params.yaml").read_text())
    done = CliRunner().invoke(main, ["compare", "HEAD", "--images", "x.png", "--variant", "mixtur"])
    assert done.exit_code == 1 and "--variant 'mixtur' is none of params.yaml's (base, " in done.output
    assert "Did you mean 'mixture'?" in done.output


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
