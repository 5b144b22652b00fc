"""dvc.yaml says what the code does: rules of docs/pipeline.md, held by machine."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from stages import graph
from versat2i import rewards
from versat2i.rewards import control
from versat2i.settings import environment, params
from versat2i.work import fingerprint

ROOT = fingerprint.ROOT
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PIPELINE = DVC["stages"]
SETTINGS = params.load(ROOT / "params.yaml")
STAGES = {name: body.get("do", body) for name, body in PIPELINE.items()}
DEVICES = re.compile(r"cuda|cpu|gpu|/home|/work|--workers|--device")
CODE = ("stages/", "versat2i/")
MADE = ("data/", "metrics/", "plots/")  # by stages


def deps(name: str) -> list[str]:
    return [dep if isinstance(dep, str) else next(iter(dep)) for dep in STAGES[name]["deps"]]


def code(name: str) -> list[str]:
    """Code deps of a stage, without the model of the embedded world."""
    return [dep for dep in deps(name) if dep.startswith(CODE) and dep != SETTINGS.model.path]


def covers(listed: list[str], path: Path) -> bool:
    return any(str(path) == dep or str(path).startswith(f"{dep}/") for dep in listed)


def tracked_params(name: str) -> set[str]:
    found = set()
    for entry in STAGES[name].get("params", []):
        if isinstance(entry, str):
            found.add(entry)
        else:
            found |= {f"{file}:{key}" for file, keys in entry.items() for key in keys or [""]}
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_module_that_it_imports(name):
    for path in fingerprint.closure(f"stages.{name}"):
        assert covers(code(name), path), f"{name} imports {path}, which lies in none of its deps"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_no_room_that_it_does_not_enter(name):
    """But for what a registry reaches by name: evaluators and what they load, the grammar."""
    by_name = ("versat2i/rewards", "versat2i/shapes/world", "versat2i/models", "versat2i/seeds.py", "versat2i/words.py")
    entered = fingerprint.closure(f"stages.{name}")
    for dep in code(name):
        assert dep.startswith(by_name) or any(covers([dep], path) for path in entered), f"{name} lists {dep}"


def test_code_deps_are_rooms_and_few():
    assert sum(len(code(name)) for name in STAGES) <= 66
    for name in STAGES:
        for dep in code(name):
            assert (ROOT / dep).exists(), f"{name}: {dep}"


def test_the_prompts_of_a_grammar_are_dependencies_with_all_they_import():
    for path in fingerprint.closure("versat2i.shapes.world.prompts"):
        assert covers(code("prompts"), path), path


@pytest.mark.parametrize("name", ["score", "evaluate"])
@pytest.mark.parametrize("aspect, evaluator", rewards.catalogue())
def test_an_evaluator_is_a_dependency_with_all_it_imports(name, aspect, evaluator):
    if name == "score" and aspect == "judges":
        return  # judges never select
    named = control.EVALUATORS | import_module(f"versat2i.rewards.{aspect}").EVALUATORS
    module = named[evaluator].partition(":")[0]
    for path in fingerprint.closure(module):
        assert covers([*code(name), f"versat2i/rewards/{aspect}"], path), (name, path)


@pytest.mark.parametrize("name", STAGES)
def test_no_command_names_a_device_or_a_place(name):
    assert not DEVICES.search(STAGES[name]["cmd"])


@pytest.mark.parametrize("name", STAGES)
def test_no_output_is_persistent_and_only_metrics_and_plots_are_uncached(name):
    for out in STAGES[name].get("outs", []):
        options = {} if isinstance(out, str) else next(iter(out.values()))
        assert set(options) <= {"remote"}, f"{name}: {out}"  # docs/team.md: bulk data in another bucket
    assert "always_changed" not in STAGES[name]


def test_dvc_yaml_fits_params_and_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    graph.check()
    copy = tmp_path / "dvc.yaml"
    copy.write_bytes((ROOT / "dvc.yaml").read_bytes())
    assert not graph.write(SETTINGS, copy)
    assert copy.read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_mix_reads_the_expert_and_the_selected_set_of_each_aspect_and_nothing_else():
    listed = {dep for dep in deps("mix") if dep.startswith("data/")}
    expected = {f"data/{kind}/{aspect}" for kind in ("adapters", "selected") for aspect in SETTINGS.aspects}
    assert listed == expected


def test_compare_reads_the_evaluation_of_each_variant():
    listed = {dep for dep in deps("compare") if dep.startswith("data/evaluation/")}
    assert listed == {f"data/evaluation/{variant}" for variant in SETTINGS.evaluate.variants}


def test_what_is_evaluated_depends_on_no_other_split():
    for name in ("evaluate", "compare"):
        listed = {dep for dep in deps(name) if dep.startswith(("data/prompts", "data/questions"))}
        assert {Path(dep).stem for dep in listed} == {"${evaluate.split}"}


def outputs_of(name: str) -> set[str]:
    """The plots of a stage, items put in."""
    items = {"${item.aspect}": SETTINGS.aspects, "${key}": list(SETTINGS.mix)}
    found = [plot if isinstance(plot, str) else next(iter(plot)) for plot in STAGES[name].get("plots", [])]
    for key, values in items.items():
        found = [path.replace(key, value) for path in found for value in (values if key in path else [""])]
    return set(found)


def test_plots_show_losses_scores_gains_and_samples_from_what_stages_write():
    plots = {name: body for plot in DVC["plots"] for name, body in plot.items()}
    made = set().union(*(outputs_of(name) for name in STAGES))
    losses = {*(f"train_lora/{aspect}" for aspect in SETTINGS.aspects), *(f"mix/{v}" for v in SETTINGS.mix)}
    assert {f"plots/{name}.csv" for name in losses} | {"plots/gains.csv", "data/samples.png"} <= made
    expected = {f"scores of {a}": {f"plots/select/{a}.csv": ["pool", "picks"]} for a in SETTINGS.aspects}
    assert {name: body["y"] for name, body in plots.items()} == expected
    assert {path for paths in expected.values() for path in paths} <= made


def test_templates_of_plots_are_there_and_take_data():
    options = [next(iter(p.values())) for body in STAGES.values() for p in body.get("plots", []) if isinstance(p, dict)]
    for template in {o["template"] for o in options if "template" in o}:
        assert "<DVC_METRIC_DATA>" in json.loads((ROOT / template).read_text())["data"]["values"]


def test_report_tracks_every_version_that_it_shows():
    shown = {f"environment.json:{name}" for name in environment.PACKAGES}
    assert {entry for entry in tracked_params("report") if ":" in entry} == shown


def test_evaluate_tracks_what_it_reads_and_not_the_list_of_variants():
    tracked = tracked_params("evaluate")
    read = set(type(SETTINGS.evaluate).model_fields) - {"variants", "resamples"}
    read -= {"size"} if SETTINGS.evaluate.size is None else set()
    assert {f"evaluate.{name}" for name in read} <= tracked
    assert "evaluate" not in tracked and "evaluate.variants" not in tracked


@pytest.mark.parametrize("name", ["score", "evaluate"])
def test_what_scores_tracks_the_code_of_plug_ins(name):
    """Never an empty file: DVC's run cache leaves out a stage with an empty params file."""
    assert "plugins.json:" in tracked_params(name)
    assert json.loads((ROOT / "plugins.json").read_text())


@pytest.mark.parametrize("name", ["generate", "train_lora", "mix", "evaluate"])
def test_a_stage_that_runs_the_model_tracks_seed_model_and_versions(name):
    assert {"seed", "model", "environment.json:torch", "environment.json:diffusers"} <= tracked_params(name)
    assert SETTINGS.model.path in deps(name)


def test_one_aspect_and_one_merge_track_their_own_settings_only():
    sections = {
        "score": ("rewards", "key"),
        "select": ("select", "item.aspect"),
        "train_lora": ("train_lora", "item.aspect"),
        "mix": ("mix", "key"),
    }
    for name, (section, item) in sections.items():
        tracked = tracked_params(name)
        assert f"{section}.${{{item}}}" in tracked
        assert section not in tracked


def test_data_and_work_are_ignored_by_git_at_the_root():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/data/" in ignored and "/.work/" in ignored
    assert "__pycache__" in (ROOT / ".dvcignore").read_text().splitlines()


def test_no_file_of_the_project_names_a_package_registry():
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "Makefile"):
        assert "index-url" not in (ROOT / name).read_text().replace("no-emit-index-url", "")
    assert Path(ROOT / "environment.json").is_file()
