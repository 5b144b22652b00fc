"""A variant's images are scored by every evaluator, higher is better, and their diversity is measured."""

import dataclasses
import gc
import json
import weakref

import drawn
import numpy as np
import pandas as pd
import pytest

from versat2i.compare import elements
from versat2i.evaluate import diversity as diversities
from versat2i.evaluate import score as evaluation
from versat2i.formats import shards, tables
from versat2i.rewards import control
from versat2i.rewards.common.base import Scores
from versat2i.settings.params import Reward

NO_QUESTIONS = pd.DataFrame(columns=tables.SCHEMAS["questions"].names)
TEXTS = {"p0": "a red circle", "p1": "a blue star", "p2": "two pink hearts"}


class Darkness:
    """Mean pixel of an image: the lower the better."""

    name, metric, higher_is_better, range, licence = "darkness", "gray", False, (0.0, 255.0), "none"

    def score(self, images, prompts, questions):
        return Scores(images.mean((1, 2, 3)), [None] * len(images), [None] * len(images))


@pytest.fixture(autouse=True)
def _own_store_and_evaluator(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    monkeypatch.setitem(control.EVALUATORS, "darkness", f"{__name__}:Darkness")


def variant(folder, grays):
    """Flat images: ``{prompt_id: [gray, ...]}``, a shard a prompt."""
    for number, (prompt_id, values) in enumerate(grays.items()):
        candidates = [
            dataclasses.replace(drawn.candidate(prompt_id, k), image=drawn.flat(gray)) for k, gray in enumerate(values)
        ]
        shards.write(folder / f"{number:05d}-000", candidates)
    return folder


def diversity(folder):
    table = diversities.of(folder)
    assert set(table["metric"]) == {"diversity"}
    return table.set_index(["prompt_id", "k"])


def test_right_answers_are_counted_by_the_type_of_what_was_asked():
    def details(*answers):
        rows = [dict(zip(("element_type", "expected", "answer"), row, strict=True)) for row in answers]
        return json.dumps({"answers": rows})

    color, count = ("color", "red", "Red"), ("counting", "2", "3")
    table = pd.DataFrame(
        [
            ("tifa", details(color, count)),
            ("tifa", details(("color", "red", None), color)),
            ("tifa", None),  # abstained
            ("low_level", None),
            ("other", json.dumps({"lines": 3})),
            ("dsg", details(count)),
        ],
        columns=["metric", "details"],
    )
    assert elements.by_element(table) == {"tifa": {"color": 0.666667, "counting": 0.0}, "dsg": {"counting": 0.0}}


LOADED: list[weakref.ref] = []
ALIVE: list[list[bool]] = []


class Heavy:
    """Has something in memory once the first image is scored; notes whether what those before it had is still there."""

    def __init__(self, metric):
        self.name = self.metric = metric
        self.higher_is_better, self.range, self.licence = True, (0.0, 1.0), "none"

    def score(self, images, prompts, questions):
        gc.collect()
        ALIVE.append([weights() is not None for weights in LOADED])
        self.weights = set(range(3))
        LOADED.append(weakref.ref(self.weights))
        return Scores(np.zeros(len(images)), [None] * len(images), [None] * len(images))


def test_an_evaluator_is_unloaded_before_the_next_one_loads(tmp_path, monkeypatch):
    monkeypatch.setitem(control.EVALUATORS, "heavy:", f"{__name__}:Heavy")
    folder = variant(tmp_path / "base", {"p0": [9, 8]})
    evaluators = [("control", Reward(evaluator=f"heavy:{name}")) for name in ("a", "b", "c")]
    evaluation.score(folder, evaluators, TEXTS, NO_QUESTIONS)
    assert ALIVE == [[], [False], [False, False]]


def test_diversity_of_equal_black_and_white_and_single_images(tmp_path):
    """Black and white are the full range apart, black and gray 51 a fifth of it."""
    folder = variant(tmp_path / "base", {"p0": [9, 9, 9], "p1": [0, 255, 51], "p2": [7]})
    table = diversity(folder)
    assert table.loc["p0", "score"].tolist() == [0, 0, 0]
    expected = [(1 + 0.2) / 2, (1 + 0.8) / 2, (0.2 + 0.8) / 2]
    assert table.loc["p1", "score"].tolist() == pytest.approx(expected)
    assert np.isnan(table.loc[("p2", 0), "score"])
    assert table.loc[("p2", 0), "abstained"] == "the only image of its prompt"
    assert table["abstained"].notna().sum() == 1


def test_candidates_of_a_prompt_are_compared_across_shards(tmp_path):
    folder = tmp_path / "base"
    for k, gray in enumerate((0, 255)):
        image = dataclasses.replace(drawn.candidate("p0", k), image=drawn.flat(gray))
        shards.write(folder / f"00000-00{k}", [image])
    assert diversity(folder)["score"].tolist() == [1, 1]


def test_lower_is_better_is_turned_round(tmp_path):
    folder = variant(tmp_path / "base", {"p0": [10, 20], "p1": [30, 40]})
    evaluators = [("control", Reward(evaluator="darkness")), ("geometry", Reward(evaluator="random"))]
    table = evaluation.score(folder, evaluators, TEXTS, NO_QUESTIONS)
    tables.write("evaluation", table, tmp_path / "table.parquet")  # it fits the schema
    frames = evaluation.by_metric(tables.read("evaluation", tmp_path / "table.parquet"))
    assert list(frames) == [*evaluation.metric_names(evaluators), "diversity"] == ["gray", "random", "diversity"]
    keys = [("p0", 0), ("p0", 1), ("p1", 0), ("p1", 1)]
    for frame in frames.values():
        assert list(zip(frame["prompt_id"], frame["k"], strict=True)) == keys
    assert frames["gray"]["score"].tolist() == [-10, -20, -30, -40]
    assert frames["random"]["abstained"].tolist() == ["the image is blank"] * 4  # flat as they are
    assert frames["diversity"]["score"].tolist() == pytest.approx([10 / 255] * 4)


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
