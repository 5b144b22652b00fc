"""dvc.yaml says what the code does: rules of docs/pipeline.md, held by machine."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

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

OF_EVALUATORS = (
    "versat2i/seeds.py",
    "versat2i/models/pretrained/weights.py",
    "versat2i/words.py",
)  # which a registry reaches by name
MADE = ("data/", "metrics/", "plots/")  # by stages
PER_ASPECT = (
    "data/scores/{}.parquet",
    "data/selected/{}",
    "metrics/select/{}.json",
    "plots/train_lora/{}.csv",
)  # what the report shows of an aspect


def deps(name: str) -> list[str]:
    return [dep if isinstance(dep, str) else next(iter(dep)) for dep in STAGES[name]["deps"]]


def files_of(prompts: params.Prompts) -> set[str]:
    found: set[str | None] = set()
    for source in (*prompts.train, *prompts.dev, *prompts.eval):
        found |= {source.file, source.questions}
        found |= {source.written.template, source.written.examples} if source.written else set()
        found |= {source.asked.template, source.asked.check} if source.asked else set()
    return found - {None, "grammar"}


def locks_of(settings: params.Params) -> set[str]:
    chosen = [*settings.rewards.values(), *settings.evaluate.judges]
    return {evaluator.environment.lock for evaluator in chosen if evaluator.environment}


def tracked_params(name: str) -> set[str]:
    found = set()
    for entry in STAGES[name].get("params", []):
        found |= {entry} if isinstance(entry, str) else {f"{file}:{k}" for file, ks in entry.items() for k in ks}
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_module_that_it_imports(name):
    listed = deps(name)
    for path in fingerprint.closure(f"stages.{name}"):
        covered = any(str(path) == dep or str(path).startswith(f"{dep}/") for dep in listed)
        assert covered, f"{name} imports {path}, which is not among its deps"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_no_module_that_it_does_not_use(name):
    imported = {str(path) for path in fingerprint.closure(f"stages.{name}")}
    plugins = ("versat2i/rewards/", "versat2i/shapes/")  # reached by name through a registry
    for dep in deps(name):
        if dep.endswith(".py") and not dep.startswith(plugins) and dep not in OF_EVALUATORS:
            assert dep in imported, f"{name} lists {dep} but does not import it"


def test_the_prompts_of_a_grammar_are_dependencies_with_all_they_import():
    for path in fingerprint.closure("versat2i.shapes.world.prompts"):
        assert str(path) in deps("prompts"), path


@pytest.mark.parametrize("name", ["score", "evaluate"])
@pytest.mark.parametrize("aspect, evaluator", rewards.catalogue())
def test_an_evaluator_is_a_dependency_with_all_it_imports(name, aspect, evaluator):
    if name == "score" and aspect == "judges":
        return  # judges never select
    named = control.EVALUATORS | import_module(f"versat2i.rewards.{aspect}").EVALUATORS
    module = named[evaluator].partition(":")[0]
    listed = [dep.replace("${item.aspect}", aspect) for dep in deps(name)]
    for path in fingerprint.closure(module):
        assert any(str(path) == dep or str(path).startswith(f"{dep}/") for dep in listed), (name, path)


@pytest.mark.parametrize("name", STAGES)
def test_every_code_dependency_exists(name):
    for dep in deps(name):
        if "${" not in dep and not dep.startswith(MADE) and dep != SETTINGS.model.path:
            assert (ROOT / dep).exists(), f"{name}: {dep}"


@pytest.mark.parametrize("name", STAGES)
def test_no_command_names_a_device_or_a_place(name):
    assert not DEVICES.search(STAGES[name]["cmd"])


@pytest.mark.parametrize("name", STAGES)
def test_no_output_is_persistent_and_only_metrics_and_plots_are_uncached(name):
    for out in STAGES[name].get("outs", []):
        options = {} if isinstance(out, str) else next(iter(out.values()))
        assert set(options) <= {"remote"}, f"{name}: {out}"  # docs/team.md: bulk data in another bucket
    assert "always_changed" not in STAGES[name]


def test_prompts_reads_every_file_that_its_params_name():
    assert files_of(SETTINGS.prompts) <= set(deps("prompts"))


def test_the_files_of_prompts_are_found_in_params():
    asked = {"model": "m", "dtype": "float32", "batch_size": 1, "tokens": 1, "template": "ask.txt"}
    written = asked | {"template": "write.txt", "examples": "few.txt", "amount": 1, "shown": 1, "per_request": 1}
    written |= {"temperature": 1.0, "most_alike": 0.8, "patience": 1}
    sources = [
        params.Source(grammar=1),
        params.Source(file="a.txt", questions="grammar"),
        params.Source(file="b.txt", questions="q.csv"),
        params.Source(written=written, asked=asked | {"check": "check.txt"}),
    ]
    found = files_of(params.Prompts(train=sources[:1], dev=sources[1:3], eval=sources[3:]))
    assert found == {"a.txt", "b.txt", "q.csv", "write.txt", "few.txt", "ask.txt", "check.txt"}


@pytest.mark.parametrize("name", ["score", "evaluate"])
def test_scoring_reads_the_lock_of_every_environment_that_params_name(name):
    assert locks_of(SETTINGS) <= set(deps(name))


def test_the_locks_of_environments_are_found_in_params():
    environment = params.Environment(name="two", lock="two.lock")
    judge = params.Reward(evaluator="x", environment=environment)
    judged = SETTINGS.evaluate.model_copy(update={"judges": [judge]})
    assert locks_of(SETTINGS.model_copy(update={"evaluate": judged})) == locks_of(SETTINGS) | {"two.lock"}


def test_each_expert_and_the_mixture_is_an_artifact_that_other_repositories_take_by_name():
    artifacts = DVC["artifacts"]
    expected = {name: f"data/adapters/{name}" for name in [*SETTINGS.aspects, "mixture"]}
    assert {name: artifact["path"] for name, artifact in artifacts.items()} == expected


def test_mix_reads_the_expert_and_the_selected_set_of_each_aspect_and_nothing_else():
    listed = {dep for dep in deps("mix") if dep.startswith("data/")}
    expected = {f"data/{kind}/{aspect}" for kind in ("adapters", "selected") for aspect in SETTINGS.aspects}
    assert listed == expected


def test_select_reads_all_of_each_aspect_that_guards_another():
    guards = {name for aspect in SETTINGS.aspects for name in SETTINGS.select[aspect].guard}
    listed = {dep for dep in deps("select") if dep.startswith("data/scores/")}
    assert listed == {f"data/scores/{aspect}.parquet" for aspect in ("${item.aspect}", *guards)}
    assert {f"versat2i/rewards/{guard}" for guard in guards} <= set(deps("select"))
    assert {f"rewards.{guard}" for guard in guards} <= tracked_params("select")


def test_compare_reads_the_evaluation_of_each_variant():
    listed = {dep for dep in deps("compare") if dep.startswith("data/evaluation/")}
    assert listed == {f"data/evaluation/{variant}" for variant in SETTINGS.evaluate.variants}


def test_report_reads_each_variant_and_all_of_each_aspect_and_nothing_else():
    listed = {dep for dep in deps("report") if dep.startswith(MADE)}
    aspects = {place.format(aspect) for aspect in SETTINGS.aspects for place in PER_ASPECT}
    mixture = {"data/adapters/mixture/mixture.json", "metrics/mix/mixture.json", "plots/mix/mixture.csv"}
    variants = {f"data/evaluation/{variant}" for variant in SETTINGS.evaluate.variants}
    prompts = {f"data/prompts/{split}.parquet" for split in ("train", "${evaluate.split}")}
    assert listed == aspects | mixture | variants | prompts | {"metrics/evaluate.json", "metrics/groups.json"}


def test_what_is_evaluated_depends_on_no_other_split():
    for name in ("evaluate", "compare"):
        listed = {dep for dep in deps(name) if dep.startswith(("data/prompts", "data/questions"))}
        assert {Path(dep).stem for dep in listed} == {"${evaluate.split}"}


def outputs_of(name: str) -> set[str]:
    """The plots of a stage, matrix items put in."""
    items = {"${item.aspect}": SETTINGS.aspects, "${item.variant}": SETTINGS.mix.variants}
    found = [plot if isinstance(plot, str) else next(iter(plot)) for plot in STAGES[name].get("plots", [])]
    for key, values in items.items():
        found = [path.replace(key, value) for path in found for value in (values if key in path else [""])]
    return set(found)


def test_plots_show_losses_scores_gains_and_samples_from_what_stages_write():
    plots = {name: body for plot in DVC["plots"] for name, body in plot.items()}
    made = set().union(*(outputs_of(name) for name in STAGES))
    losses = {*(f"train_lora/{aspect}" for aspect in SETTINGS.aspects), *(f"mix/{v}" for v in SETTINGS.mix.variants)}
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


def test_variants_name_the_adapter_that_a_stage_makes():
    made = {f"data/adapters/{name}" for name in [*SETTINGS.aspects, *SETTINGS.mix.variants]}
    for variant, path in SETTINGS.evaluate.variants.items():
        assert path == f"data/adapters/{variant}" if variant != "base" else path == SETTINGS.model.path
        assert variant == "base" or path in made


def test_evaluate_tracks_what_it_reads_and_not_the_list_of_variants():
    tracked = tracked_params("evaluate")
    read = set(type(SETTINGS.evaluate).model_fields) - {"variants", "resamples"}
    assert {f"evaluate.{name}" for name in read} <= tracked
    assert "evaluate" not in tracked and "evaluate.variants" not in tracked


@pytest.mark.parametrize("name", ["generate", "train_lora", "mix", "evaluate"])
def test_a_stage_that_runs_the_model_tracks_seed_model_and_versions(name):
    assert {"seed", "model", "environment.json:torch", "environment.json:diffusers"} <= tracked_params(name)


def test_one_aspect_tracks_its_own_settings_only():
    for name, section in {"score": "rewards", "select": "select", "train_lora": "train_lora"}.items():
        tracked = tracked_params(name)
        assert f"{section}.${{item.aspect}}" in tracked
        assert section not in tracked


def test_data_and_work_are_ignored_by_git_at_the_root():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/data/" in ignored and "/.work/" in ignored
    assert "__pycache__" in (ROOT / ".dvcignore").read_text().splitlines()


def test_no_file_of_the_project_names_a_package_registry():
    for name in ("requirements.lock", "pyproject.toml", "Makefile"):
        assert "index-url" not in (ROOT / name).read_text().replace("no-emit-index-url", "")
    assert Path(ROOT / "environment.json").is_file()
