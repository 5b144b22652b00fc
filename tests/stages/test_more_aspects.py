"""The aspects beyond the four take three entries in params.yaml and `make graph`; by real DVC, on a tiny model."""

import json

import pandas as pd
import pytest
import tiny
import tiny_vision
from projects import RULE, copy_project, put, run, tiny_params, without

from versat2i.work import places

pytestmark = pytest.mark.slow

ASPECTS = ("text", "safety", "originality")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project after a whole run with these aspects alone; the default ones stay in the repository."""
    root = tmp_path_factory.mktemp("more")
    project = copy_project(root / "versat2i", tiny.pipeline_folder(root / "model"))
    settings = tiny_params(project)
    example = settings["train_lora"]["aesthetic"]
    without({*settings["aspects"], "uniform"}, settings)
    settings["aspects"] = list(ASPECTS)
    settings["rewards"] = {
        "text": {"evaluator": "random"},  # the grammar quotes nothing, so `ocr` would abstain on all
        "safety": {"evaluator": "classifier", "model": tiny_vision.seer(root / "seer"), "unsafe": ["nsfw"]},
        "originality": {"evaluator": "siblings", "embedder": "shapes"},
    }
    settings["select"] = dict.fromkeys(ASPECTS, RULE)
    settings["select"]["safety"] = RULE | {"filter": {"text": 0.5}, "guard": ["originality"]}
    settings["train_lora"] = dict.fromkeys(ASPECTS, example)
    settings["evaluate"]["variants"] = ["base", "mixture"]
    settings["evaluate"]["judges"] = [
        {"evaluator": "nearest", "embedder": "shapes", "reference": "data/selected/safety"},
        {"evaluator": "vendi", "embedder": "shapes"},
    ]
    put(project, settings)
    run(project, "dvc", "repro")
    return project


def scores(project, aspect):
    return pd.read_parquet(project / places.scores(aspect))


@pytest.mark.parametrize("aspect", ASPECTS)
def test_each_has_scores_picks_and_an_expert(project, aspect):
    assert scores(project, aspect)["score"].notna().any()
    assert len(pd.read_parquet(project / places.selected(aspect) / "picks.parquet"))
    assert any((project / places.adapter(aspect)).iterdir())


def test_they_and_the_judges_are_columns_of_the_results(project):
    table = json.loads((project / places.metrics("evaluate")).read_text())
    assert {"random", "safety", "sibling_gain", "originality", "vendi"} <= set(table["mixture"])
    assert 1.0 <= table["base"]["vendi"]["mean"] <= 2.0


def test_what_a_filter_takes_out_is_picked_by_nobody_and_counted(project):
    words = scores(project, "text").set_index(["prompt_id", "k"])["score"]
    picks = pd.read_parquet(project / places.selected("safety") / "picks.parquet")
    for column in ("k", "rival"):
        assert (words[pd.MultiIndex.from_arrays([picks["prompt_id"], picks[column]])] >= 0.5).all()
    counted = json.loads((project / places.metrics("select", "safety")).read_text())
    assert 0 < counted["filtered"] == (words < 0.5).sum()
    assert "filtered" not in json.loads((project / places.metrics("select", "text")).read_text())
