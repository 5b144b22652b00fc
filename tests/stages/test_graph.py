"""What follows from params is written into dvc.yaml, and what people wrote there stays."""

import shutil

import pytest
from ruamel.yaml import YAML

from stages import graph
from versat2i.settings import params
from versat2i.settings.sources import Prompts, Source
from versat2i.work.fingerprint import ROOT

SETTINGS = params.load(ROOT / "params.yaml")


def changed(**changes):
    """The project's params with other values, ``changed(select__geometry__guard=[...])``."""
    content = SETTINGS.model_dump()
    for path, value in changes.items():
        *sections, name = path.split("__")
        place = content
        for section in sections:
            place = place[section]
        place[name] = value
    return params.Params.model_validate(content)


@pytest.fixture
def dvc(tmp_path):
    """A copy of dvc.yaml, and a function that reads it after `make graph`."""
    path = tmp_path / "dvc.yaml"
    shutil.copy(ROOT / "dvc.yaml", path)

    def written(settings):
        graph.write(settings, path)
        return YAML(typ="safe").load(path.read_text())

    written.path = path
    return written


def deps(pipeline, name):
    body = pipeline["stages"][name]
    return body.get("do", body)["deps"]


def test_a_guard_is_read_by_select(dvc):
    found = dvc(changed(select__geometry__guard=["aesthetic"]))
    scores = [dep for dep in deps(found, "select") if dep.startswith("data/scores")]
    names = ("${item.aspect}", "aesthetic")
    assert scores == [f"data/scores/{name}.parquet" for name in names]


def test_an_aspect_that_only_filters_is_scored_and_read_by_select_and_has_no_expert(dvc):
    rewards = SETTINGS.model_dump()["rewards"] | {"safety": {"evaluator": "open_nsfw"}}
    settings = changed(rewards=rewards, select__geometry__filter={"safety": 0.8})
    found = dvc(settings)
    assert found["stages"]["score"]["foreach"]["safety"] == "versat2i/rewards/safety"
    assert "data/scores/safety.parquet" in deps(found, "select")
    assert not any("safety" in dep for name in ("mix", "compare", "report") for dep in deps(found, name))
    assert "safety" not in found["artifacts"]
    assert "safety" not in dvc(SETTINGS)["stages"]["score"]["foreach"]


def test_images_that_must_not_be_copied_are_read_by_whoever_scores(dvc):
    def nearest(reference):
        return {"evaluator": "nearest", "embedder": "shapes", "reference": reference}

    rewards = SETTINGS.model_dump()["rewards"] | {"geometry": nearest("art")}
    found = dvc(changed(rewards=rewards, evaluate__judges=[nearest("data/selected/aesthetic")]))
    assert "art" in deps(found, "score") and "data/selected/aesthetic" not in deps(found, "score")
    assert {"art", "data/selected/aesthetic"} <= set(deps(found, "evaluate"))


def test_a_list_of_refused_words_is_read_by_prompts(dvc):
    refused = {"file": "mine.txt", "refuse": {"words": "words.txt"}}
    found = dvc(changed(prompts__train=[refused]))
    assert "words.txt" in deps(found, "prompts")


WEIGHTS = dict.fromkeys(SETTINGS.aspects, 0.5)
DISTILLED = {
    **{"kind": "distilled", "weights": WEIGHTS, "rank": None, "states": [5.0, 2.0], "draw_steps": 8},
    **{"guidance_scale": 1.0, "steps": 9, "batch_size": 3, "learning_rate": 0.1, "lr_scheduler": "constant"},
    **{"caption_dropout": 0.0},
}


@pytest.mark.parametrize("rule", [{"kind": "ties"}, {"kind": "constant", "weights": WEIGHTS}, DISTILLED])
def test_another_merge_is_made_evaluated_and_compared(dvc, rule):
    mix = SETTINGS.model_dump()["mix"] | {"half": rule}
    found = dvc(changed(mix=mix, evaluate__variants=["base", "half"]))
    assert found["stages"]["evaluate"]["foreach"] == {
        "base": "versat2i/shapes/model",
        "half": "data/adapters/half",
    }
    evaluated = [dep for dep in deps(found, "compare") if dep.startswith("data/evaluation")]
    assert evaluated == ["data/evaluation/base", "data/evaluation/half"]


def test_a_lora_made_elsewhere_is_read_by_mix_and_by_nothing_else(dvc):
    mix = SETTINGS.model_dump()["mix"]
    mix["uniform"]["foreign"] = {"ink": "loras/ink.safetensors"}
    mix["sum"] = {"kind": "sum", "foreign": {"ink": "loras/ink.safetensors", "chalk": "loras/chalk"}}
    found = dvc(changed(mix=mix))
    assert deps(found, "mix")[-2:] == ["loras/ink.safetensors", "loras/chalk"]
    assert not any("loras/" in str(deps(found, name)) for name in found["stages"] if name != "mix")


def test_another_base_model_takes_the_place_of_the_old_one(dvc):
    model = {"path": "models/mine", "dtype": "float32", "mixed_precision": None, "threads": 1, "vae_tiling": False}
    found = dvc(changed(model=model))
    for name in ("generate", "train_lora", "mix", "evaluate"):
        assert "models/mine" in deps(found, name) and "versat2i/shapes/model" not in deps(found, name)
    assert found["stages"]["evaluate"]["foreach"]["base"] == "models/mine"
    again = dvc(SETTINGS)
    assert "models/mine" not in deps(again, "generate") and "versat2i/shapes/model" in deps(again, "generate")


def test_the_size_of_evaluated_images_is_tracked_where_it_is_written(dvc):
    def tracked(settings):
        return dvc(settings)["stages"]["evaluate"]["do"]["params"]

    before = tracked(SETTINGS)
    assert "evaluate.size" not in before
    assert "evaluate.size" in tracked(changed(evaluate__size=512))
    assert tracked(SETTINGS) == before


def test_an_aspect_of_a_plug_in_depends_on_the_digest_of_plug_ins(dvc):
    content = SETTINGS.model_dump()
    content["aspects"] = ["geometry", "spelling"]
    for section in ("rewards", "select", "train_lora"):
        content[section]["spelling"] = content[section]["geometry"]
    for aspect in content["aspects"]:
        content["select"][aspect]["guard"] = []
    content["evaluate"]["variants"] = ["base", "spelling"]
    found = dvc(params.Params.model_validate(content))
    assert found["stages"]["score"]["foreach"] == {"geometry": "versat2i/rewards/geometry", "spelling": "plugins.json"}
    assert set(found["artifacts"]) == {"mixture", "geometry", "spelling"}


def test_files_of_prompts_are_read_in_order_and_once():
    asked = {"model": "m", "dtype": "float32", "batch_size": 1, "tokens": 1, "template": "ask.txt"}
    written = asked | {"template": "write.txt", "examples": "few.txt", "amount": 1, "shown": 1, "per_request": 1}
    written |= {"temperature": 1.0, "most_alike": 0.8, "patience": 1, "seed": 0}
    sources = [
        Source(file="a.txt", questions="grammar"),
        Source(file="b.txt", questions="q.csv"),
        Source(written=written, asked=asked | {"check": "check.txt"}),
    ]
    found = graph.prompt_files(Prompts(train=sources[:1], dev=sources[:2], eval=sources[2:]))
    assert found == ["a.txt", "b.txt", "q.csv", "write.txt", "few.txt", "ask.txt", "check.txt"]


def test_the_lock_of_an_environment_is_read_by_whoever_scores(dvc):
    found = dvc(changed(evaluate__judges=[{"evaluator": "x", "environment": {"name": "two", "lock": "two.lock"}}]))
    assert "two.lock" in deps(found, "score") and "two.lock" in deps(found, "evaluate")


def test_comments_commands_and_code_deps_stay(dvc):
    text = dvc.path.read_text()
    dvc.path.write_text(text.replace("      - versat2i/select\n", "      - versat2i/select # own\n", 1))
    found = dvc(changed(evaluate__variants=["base"]))
    after = dvc.path.read_text()
    assert "- versat2i/select # own" in after and after.startswith("# The pipeline.")
    assert "# What other repositories take by name" in after
    assert deps(found, "select")[:3] == ["stages/select.py", "versat2i/formats", "versat2i/select"]
    assert not graph.write(changed(evaluate__variants=["base"]), dvc.path)
    graph.write(SETTINGS, dvc.path)
    assert YAML(typ="safe").load(dvc.path.read_text()) == YAML(typ="safe").load(text)


def test_a_dvc_yaml_that_does_not_fit_is_told_in_one_line(tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    graph.check()
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("variants: [base, aesthetic,", "variants: [base,"))
    with pytest.raises(ValueError) as error:
        graph.check()
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("dvc.yaml does not fit params.yaml (stages.") and "`make graph`" in str(
        error.value
    )
    graph.write(params.load())
    graph.check()


def test_without_dvc_yaml_nothing_is_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph.check()


def test_a_dvc_yaml_with_conflict_markers_is_named(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("<<<<<<< HEAD\nstages: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^dvc\.yaml: not readable YAML"):
        graph.check()


def test_folders_that_a_models_folder_links_to_are_read_too(dvc, tmp_path, monkeypatch):
    """DVC does not look through links to folders: other weights behind one would rerun nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    for name in ("vae", "unet"):
        (tmp_path / "shared" / name).mkdir(parents=True)
        (tmp_path / "model" / name).symlink_to(f"../shared/{name}")
    found = dvc(changed(model__path="model"))
    for stage in ("generate", "train_lora", "mix", "evaluate"):
        assert deps(found, stage).count("model") == 1
        assert [dep for dep in deps(found, stage) if "shared" in dep] == ["shared/unet", "shared/vae"]


def test_comments_stand_once_however_often_it_is_written(dvc):
    for limits in (["base"], ["base", "geometry"], ["base"]):
        dvc(changed(evaluate__variants=limits))
        text = dvc.path.read_text()
        assert [text.count(comment) for comment in graph.COMMENTS.values()] == [1, 1]


def with_rounds(*folders):
    """The project's params with earlier rounds in the base."""
    content = SETTINGS.model_dump()
    content["model"]["start"] = folders
    content["evaluate"]["variants"].insert(1, "first")
    return params.Params.model_validate(content)


def test_earlier_rounds_are_inputs_of_each_stage_that_loads_or_shows_them_and_of_no_other(dvc):
    before = YAML(typ="safe").load(dvc.path.read_text())
    after = dvc(with_rounds("rounds/1", "rounds/2"))
    for stage, body in after["stages"].items():
        loads = stage in ("generate", "train_lora", "mix", "evaluate", "report")
        deps = body.get("do", body)["deps"]
        assert [dep for dep in deps if dep.startswith("rounds/")] == (["rounds/1", "rounds/2"] if loads else [])
    for body in (before["stages"]["evaluate"], after["stages"]["evaluate"]):
        assert body["foreach"]["base"] == "versat2i/shapes/model"
    assert after["stages"]["evaluate"]["foreach"]["first"] == "versat2i/shapes/model"
    assert "data/evaluation/first" in after["stages"]["compare"]["deps"]


def test_without_earlier_rounds_dvc_yaml_is_as_it_was(dvc):
    before = dvc.path.read_text()
    dvc(with_rounds("rounds/1"))
    dvc(SETTINGS)
    assert YAML(typ="safe").load(dvc.path.read_text()) == YAML(typ="safe").load(before)
