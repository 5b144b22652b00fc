"""The data flow as names of folders: whoever clones the project finds each thing where the design says."""

from pathlib import Path

from versat2i.work import places


def test_every_result_has_its_place():
    found = {
        places.prompts("dev"),
        places.questions("eval"),
        places.IMAGES,
        places.scores("geometry"),
        places.selected("geometry"),
        places.adapter("mixture"),
        places.evaluation("base"),
        places.metrics("evaluate"),
        places.metrics("select", "geometry"),
        places.plot("train_lora", "geometry"),
        places.REPORT,
        places.SAMPLES,
    }
    assert {path.as_posix() for path in found} == {
        "data/prompts/dev.parquet",
        "data/questions/eval.parquet",
        "data/images",
        "data/scores/geometry.parquet",
        "data/selected/geometry",
        "data/adapters/mixture",
        "data/evaluation/base",
        "metrics/evaluate.json",
        "metrics/select/geometry.json",
        "plots/train_lora/geometry.csv",
        "data/report",
        "data/samples.png",
    }


def test_work_lies_where_the_environment_says_else_in_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    assert places.home() == tmp_path
    monkeypatch.delenv("VERSAT2I_WORK")
    assert places.home() == Path(".work")


def test_the_store_may_lie_in_the_home_of_the_user_and_never_in_the_project_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for said, meant in (("~/w", tmp_path / "w"), ("", Path(".work")), ("/scratch", Path("/scratch"))):
        monkeypatch.setenv("VERSAT2I_WORK", said)
        assert places.home() == meant
    monkeypatch.delenv("VERSAT2I_WORK")
    assert places.home() == Path(".work")


def test_the_root_is_the_nearest_folder_upwards_with_params(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    assert places.root(tmp_path / "a/b") == tmp_path / "a/b"  # none has any
    (tmp_path / "params.yaml").touch()
    assert places.root(tmp_path / "a/b") == places.root(tmp_path) == tmp_path
