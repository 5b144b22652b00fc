"""The whole pipeline, by real DVC in a copy of the project, on tiny settings and a random model."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import tiny
import yaml
from projects import commit, copy_project, edit, ran, run

from versat2i.settings import params
from versat2i.work import places


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.pipeline_folder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def project(tmp_path_factory, model):
    """The project after a whole run."""
    root = copy_project(tmp_path_factory.mktemp("project") / "versat2i", model)
    root.joinpath("output.txt").write_text(run(root, "dvc", "repro").stdout)
    return root


def test_every_stage_runs_and_says_what_it_did(project):
    output = (project / "output.txt").read_text()
    stages = run(project, "dvc", "stage", "list", "--name-only").stdout.split()
    assert ran(output) == sorted(stages)
    for stage in stages:
        assert re.search(rf"^{stage}: .* in \d+\.\d s$", output, re.M), stage


def test_the_results_have_the_promised_shape(project):
    settings = params.load(project / "params.yaml")
    table = json.loads((project / places.metrics("evaluate")).read_text())
    assert set(table) == {*settings.evaluate.variants, "summary"}
    for variant in settings.evaluate.variants:
        for entry in table[variant].values():
            gained = set() if variant == "base" else {"gain", "low", "high", "win_rate", "more_abstentions"}
            assert set(entry) <= {"mean", "abstained"} | gained
    assert {"aesthetic", "low_level", "diversity"} <= set(table["base"])
    elements = json.loads((project / places.metrics("elements")).read_text())
    assert set(elements) == set(settings.evaluate.variants)
    assert all(set(found) == {"tifa"} and "color" in found["tifa"] for found in elements.values())


def test_a_selected_set_is_the_best_of_each_prompt(project):
    scores = pd.read_parquet(project / places.scores("aesthetic"))
    picks = pd.read_parquet(project / places.selected("aesthetic") / "picks.parquet")
    best = scores.groupby("prompt_id")["score"].max()
    assert picks.set_index("prompt_id")["score"].to_dict() == best.to_dict()


def test_a_second_run_does_nothing(project):
    assert ran(run(project, "dvc", "repro").stdout) == []


def test_another_machine_agrees_byte_for_byte(project, model, tmp_path):
    other = copy_project(tmp_path / "other", model)
    run(other, "dvc", "repro", "train_lora@aesthetic", forked=False)
    mine, theirs = (yaml.safe_load((root / "dvc.lock").read_text())["stages"] for root in (project, other))
    assert len(theirs) == 5
    assert {name: mine[name] for name in theirs} == theirs


def test_params_metrics_and_plots_are_compared_with_the_last_commit(project):
    commit(project, "first run")
    edit(project, select__geometry__threshold={"quantile": 0.95})
    run(project, "dvc", "repro", "-s", "select@geometry")
    assert "select.geometry.threshold.quantile" in run(project, "dvc", "params", "diff").stdout
    assert "picks_mean" in run(project, "dvc", "metrics", "diff").stdout
    run(project, "dvc", "plots", "show")
    assert (project / "dvc_plots" / "index.html").is_file()


def test_prompts_appended_cost_only_their_own_shards(project):
    edit(project, prompts__train=[{"grammar": 9, "held_out": 0.0, "seed": 1}])
    run(project, "dvc", "repro", "-s", "prompts")
    output = run(project, "dvc", "repro", "-s", "generate").stdout
    assert "36 candidates of 9 prompts, 12 of them drawn now" in output


def test_a_killed_stage_goes_on_at_the_missing_shard(project):
    shards = sorted((project / ".work/generate").iterdir())
    shutil.rmtree(shards[0])
    shutil.rmtree(project / "data/images")
    assert "12 of them drawn now" in run(project, "python", "-m", "stages.generate").stdout


def test_ones_own_prompts_take_one_edit_a_split(project):
    (project / "mine.txt").write_text("a red circle\ntwo blue stars on a white background\n")
    mine = [{"file": "mine.txt", "questions": "grammar"}]
    edit(project, prompts__train=mine, generate__per_prompt=2)
    run(project, "python", "-m", "stages.prompts")
    assert "4 candidates of 2 prompts" in run(project, "python", "-m", "stages.generate").stdout
    questions = pd.read_parquet(project / places.questions("train"))
    assert "How many blue stars are there?" in set(questions["question"])


def test_another_model_takes_one_edit(project, tmp_path):
    folder = tiny.pipeline_folder(tmp_path / "other", seed=1)
    edit(project, model__path=str(folder))
    assert "4 of them drawn now" in run(project, "python", "-m", "stages.generate").stdout


def fails(project: Path, *command: str) -> str:
    """The one line that a stage ends with."""
    done = run(project, "python", "-m", *command, check=False)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_a_word_that_the_model_does_not_know_is_named(project):
    (project / "mine.txt").write_text("a red zebra\n")
    edit(project, prompts__train=[{"file": "mine.txt"}])
    run(project, "python", "-m", "stages.prompts")
    before = sorted((project / "data/images").iterdir())
    assert "'zebra'" in fails(project, "stages.generate")
    assert sorted((project / "data/images").iterdir()) == before


def test_an_empty_prompt_file_is_one_clear_line(project):
    (project / "mine.txt").write_text("\n\n")
    before = (project / places.prompts("train")).read_bytes()
    assert "mine.txt: has no prompt" in fails(project, "stages.prompts")
    assert (project / places.prompts("train")).read_bytes() == before


def test_a_threshold_that_nothing_reaches_is_one_clear_line(project):
    edit(project, select__aesthetic__threshold={"absolute": 1.0e9})
    assert "select@aesthetic" in fails(project, "stages.select", "aesthetic")


def test_a_misspelt_param_names_the_close_match(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("guidance_scale", "guidence_scale", 1))
    assert "Did you mean 'guidance_scale'?" in fails(project, "stages.generate")
    (project / "params.yaml").write_text(text)


def test_a_table_with_a_missing_column_is_one_clear_line(project):
    path = project / places.scores("aesthetic")
    pd.read_parquet(path).drop(columns="score").to_parquet(path)
    assert "column 'score' is missing" in fails(project, "stages.select", "aesthetic")


def test_a_truncated_shard_is_one_clear_line(project):
    edit(project, model__path="versat2i/shapes/model")
    (project / "mine.txt").write_text("a red circle\n")
    run(project, "python", "-m", "stages.prompts")
    run(project, "python", "-m", "stages.generate")
    path = next((project / "data/images").glob("*.tar"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 3])
    assert path.name in fails(project, "stages.score", "aesthetic")
