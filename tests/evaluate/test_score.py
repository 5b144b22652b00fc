"""A variant's images are scored by every evaluator, higher is better, and their diversity is measured."""

import gc
import weakref

import drawn
import pandas as pd
import pytest

from versat2i.compare import statistics
from versat2i.evaluate import score as evaluation
from versat2i.formats import tables
from versat2i.formats.measures import Measure
from versat2i.rewards import control
from versat2i.settings.params import Reward

NO_QUESTIONS = pd.DataFrame(columns=tables.SCHEMAS["questions"].names)
TEXTS = {"p0": "a red circle", "p1": "a blue star", "p2": "two pink hearts"}


class Darkness:
    """Mean pixel of an image: the lower the better."""

    name, metric, higher_is_better, range, licence = "darkness", "gray", False, (0.0, 255.0), "none"

    def score(self, images, prompts):
        return list(images.mean((1, 2, 3)))


@pytest.fixture(autouse=True)
def _own_store_and_evaluator(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    monkeypatch.setitem(control.EVALUATORS, "darkness", f"{__name__}:Darkness")


LOADED: list[weakref.ref] = []


ALIVE: list[list[bool]] = []


class Heavy:
    """Has something in memory once the first image is scored; notes whether what those before it had is still there."""

    def __init__(self, metric):
        self.name = self.metric = metric
        self.higher_is_better, self.range, self.licence = True, (0.0, 1.0), "none"

    def score(self, images, prompts):
        gc.collect()
        ALIVE.append([weights() is not None for weights in LOADED])
        self.weights = set(range(3))
        LOADED.append(weakref.ref(self.weights))
        return [0.0] * len(images)


def test_an_evaluator_is_unloaded_before_the_next_one_loads(tmp_path, monkeypatch):
    monkeypatch.setitem(control.EVALUATORS, "heavy:", f"{__name__}:Heavy")
    folder = drawn.variant(tmp_path / "base", {"p0": [9, 8]}, stripe=1)
    evaluators = [("control", Reward(evaluator=f"heavy:{name}")) for name in ("a", "b", "c")]
    evaluation.score(folder, evaluators, TEXTS, NO_QUESTIONS)
    assert ALIVE == [[], [False], [False, False]]


def test_lower_is_better_is_turned_round(tmp_path):
    folder = drawn.variant(tmp_path / "base", {"p0": [10, 20], "p1": [30, 40]}, stripe=1)
    evaluators = [("control", Reward(evaluator="darkness")), ("geometry", Reward(evaluator="random"))]
    table = evaluation.score(folder, evaluators, TEXTS, NO_QUESTIONS)
    measures = evaluation.measures(evaluators)
    tables.write("evaluation", table, tmp_path / "table.parquet", measures)  # it fits the schema
    assert tables.measures(tmp_path / "table.parquet") == measures
    frames = statistics.by_metric(tables.read("evaluation", tmp_path / "table.parquet"))
    assert list(frames) == [measure.metric for measure in measures] == ["gray", "random", "diversity"]
    assert [measure.aspect for measure in measures] == ["control", "geometry", None]
    assert measures[0] == Measure(
        metric="gray",
        evaluator="darkness",
        licence="none",
        higher_is_better=False,
        range=(0.0, 255.0),
        aspect="control",
    )
    keys = [("p0", 0), ("p0", 1), ("p1", 0), ("p1", 1)]
    for frame in frames.values():
        assert list(zip(frame["prompt_id"], frame["k"], strict=True)) == keys
    assert frames["gray"]["score"].tolist() == [10, 20, 30, 40]
    assert frames["gray"]["merit"].tolist() == [-10, -20, -30, -40]
    assert frames["random"]["abstained"].isna().all()
    assert frames["diversity"]["score"].tolist() == pytest.approx([10 / 255] * 4)


def test_a_blank_image_is_judged_by_nobody(tmp_path):
    folder = drawn.variant(tmp_path / "base", {"p0": [10, 20]})
    table = evaluation.score(folder, [("control", Reward(evaluator="darkness"))], TEXTS, NO_QUESTIONS)
    assert table[table["metric"] == "gray"]["abstained"].tolist() == ["the image is blank"] * 2


def test_higher_is_better_is_left_as_it_is(tmp_path):
    folder = drawn.pool(tmp_path / "base", TEXTS, per_prompt=1)
    table = evaluation.score(folder, [("geometry", Reward(evaluator="random"))], TEXTS, NO_QUESTIONS)
    scores = table[table["metric"] == "random"]["score"]
    assert scores.between(0, 1).all() and scores.nunique() == 3
    alone = table[table["metric"] == "diversity"]
    assert alone["score"].isna().all() and len(alone) == 3


def test_a_variant_without_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no shard"):
        evaluation.score(tmp_path, [("control", Reward(evaluator="darkness"))], TEXTS, NO_QUESTIONS)


@pytest.mark.parametrize("first, second", [("geometry", "low_level"), ("geometry", evaluation.JUDGES)])
def test_two_evaluators_of_one_metric_are_an_error_that_names_them(tmp_path, first, second):
    evaluators = [(first, Reward(evaluator="random")), (second, Reward(evaluator="random"))]
    with pytest.raises(ValueError, match=rf"'random' .* 2 evaluators \({first}: random, {second}: random\)"):
        evaluation.score(tmp_path, evaluators, TEXTS, NO_QUESTIONS)


def test_a_judge_scores_beside_the_evaluator_of_an_aspect(tmp_path):
    folder = drawn.pool(tmp_path / "base", TEXTS, per_prompt=1)
    evaluators = [("geometry", Reward(evaluator="random")), (evaluation.JUDGES, Reward(evaluator="second_reader"))]
    table = evaluation.score(folder, evaluators, TEXTS, NO_QUESTIONS)
    assert set(table["metric"]) == {"random", "second_reader", "diversity"}
