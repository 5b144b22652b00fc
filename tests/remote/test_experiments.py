"""Stages side by side, and experiments: `versat2i.tools.repro` and `dvc exp`, on stand-ins for the stages."""

import csv
import shutil

import pytest
import team
import yaml

from versat2i.settings import params

TRAINING = {f"train_lora@{aspect}" for aspect in team.ASPECTS}


@pytest.fixture
def project(first_run, tmp_path):
    """The project after a run, to change."""
    return team.Clone(shutil.copytree(first_run.root, tmp_path / "versat2i", symlinks=True))


def lock(clone):
    return yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]


def test_stages_side_by_side_leave_the_lock_of_stages_one_after_another(first_run, project):
    """Each stand-in waits until two are at work."""
    left = {name: entry for name, entry in lock(project).items() if name not in TRAINING}
    (project.root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": left}))
    shutil.rmtree(project.root / "data/adapters")
    shutil.rmtree(project.cache / "runs")
    project.keys = project.keys | {"MEET": "2"}
    assert (
        team.ran(project.run("python", "-m", "versat2i.tools.repro")) == set()
    )  # none is left to the `dvc repro` at its end
    assert lock(project) == lock(first_run)
    assert project.files() == first_run.files()


def shown(clone):
    """Name -> row of `dvc exp show`."""
    rows = csv.DictReader(clone.dvc("exp", "show", "--csv").splitlines())
    return {row["Experiment"] or row["rev"]: row for row in rows}


def test_an_experiment_runs_what_its_param_changes_and_is_shown_beside_its_parent(first_run, project):
    output = project.dvc("exp", "run", "-n", "smaller", "-S", "train_lora.geometry.rank=3")
    assert team.ran(output) == team.FROM_GEOMETRY
    rows = shown(project)
    ranks = [rows[name]["train_lora.geometry.rank"] for name in ("smaller", "main")]
    assert ranks == ["3", str(params.load(first_run.root / "params.yaml").train_lora["geometry"].rank)]
    assert len({rows[name]["metrics/evaluate.json:value"] for name in ("smaller", "main")}) == 2


def test_queued_experiments_run_later_and_leave_the_workspace_alone(project):
    before = (project.root / "params.yaml").read_bytes(), project.files()
    project.dvc("exp", "run", "--queue", "-S", "train_lora.geometry.rank=4,5")
    project.dvc("exp", "run", "--run-all")
    ranks = [row["train_lora.geometry.rank"] for row in shown(project).values() if row["State"] == "Success"]
    assert sorted(ranks) == ["4", "5"]
    assert before == ((project.root / "params.yaml").read_bytes(), project.files())
