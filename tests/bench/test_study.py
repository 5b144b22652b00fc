"""Studies: the pipeline with a few values changed."""

import drawn
import pytest
import small_run
from ruamel.yaml import YAML

from bench import study
from versat2i.settings import params


def test_values_are_set_by_dotted_name_and_a_star_is_every_key():
    settings = {"a": {"x": {"n": 1}, "y": {"n": 1}}, "b": 1}
    study.put(settings, {"a.*.n": 2, "a.y.new": 3, "b": 4})
    assert settings == {"a": {"x": {"n": 2}, "y": {"n": 2, "new": 3}}, "b": 4}


def test_a_section_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"a\.z\.n: params have no section 'z'"):
        study.put({"a": {}}, {"a.z.n": 1})


@pytest.mark.parametrize("file", ["controls", "recipe", "six", "unite"])
def test_the_studies_fit_params(file):
    settings = YAML(typ="safe").load(study.Path("params.yaml").read_text())
    found = YAML(typ="safe").load(study.Path(f"bench/studies/{file}.yaml").read_text())
    for trial in found["trials"].values():
        own = YAML(typ="safe").load(study.Path("params.yaml").read_text())
        study.put(own, found["change"])
        study.put(own, trial)
        params.parse(drawn.yaml_text(own))
        assert own != settings


@pytest.mark.slow
def test_a_study_runs_its_trials_once_and_prints_their_gains(tmp_path, model_folder, monkeypatch, capsys):
    small_run.start(tmp_path, model_folder)
    (tmp_path / "study.yaml").write_text(
        "change: {evaluate.per_prompt: 1}\ntrials: {one: {}, other: {'train_lora.*.learning_rate': 0.02}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "store"))
    study.main(["study.yaml"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "\none\n| variant" in said and "\nother\n| variant" in said and said.count("| mixture ") == 2
    assert said.count(" 4 of them drawn now") == 1  # of the pool: the trials have it in common
    study.main(["study.yaml", "--only", "one"], standalone_mode=False)
    assert "train_lora@" not in capsys.readouterr().out
