"""A table of scores says what was measured; one that does not is refused in one line."""

import math

import pandas as pd
import pytest

from versat2i import rewards
from versat2i.formats import tables
from versat2i.formats.measures import Measure
from versat2i.rewards.common import registry
from versat2i.settings.params import Reward

SCORES = pd.DataFrame(
    {"prompt_id": ["a", "a"], "k": [0, 1], "score": [1.0, None], "merit": [-1.0, None], "abstained": [None, "dark"]}
).assign(details=None)
FAULTS = Measure(metric="faults", evaluator="counter", licence="none", higher_is_better=False, range=(0.0, None))


def test_what_was_measured_comes_back_from_the_file(tmp_path):
    path = tmp_path / "scores.parquet"
    tables.write("scores", SCORES, path, [FAULTS])
    assert tables.measures(path) == [FAULTS]
    assert tables.read("scores", path)["merit"][0] == -1.0


def test_the_same_rows_and_measures_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        tables.write("scores", SCORES, tmp_path / name, [FAULTS])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_table_that_does_not_say_what_it_measures_is_refused_in_one_line(tmp_path):
    path = tmp_path / "scores.parquet"
    tables.write("scores", SCORES, path)
    with pytest.raises(ValueError, match=r"scores.parquet: does not say what its scores measure.*`dvc repro`") as error:
        tables.measures(path)
    assert "\n" not in str(error.value)


def test_a_merit_of_a_merit_is_the_score():
    for measure in (FAULTS, FAULTS.model_copy(update={"higher_is_better": True})):
        assert measure.merit(measure.merit(3.0)) == 3.0
    assert FAULTS.merit(3.0) == -3.0


def test_a_score_without_a_merit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"column 'merit' is None in row 1, expected a number where there is a score"):
        tables.write("scores", SCORES.assign(merit=[None, None]), tmp_path / "scores.parquet")


@pytest.mark.parametrize("aspect, evaluator", [("geometry", "lines"), ("judges", "piqe"), ("low_level", "pyiqa:niqe")])
def test_a_measure_is_what_the_evaluator_says_of_itself(aspect, evaluator):
    reward = rewards.load(aspect, evaluator)
    measure = registry.measure(aspect, Reward(evaluator=evaluator), selects=aspect != "judges")
    said = (reward.metric, reward.name, reward.licence, reward.higher_is_better)
    assert said == (measure.metric, measure.evaluator, measure.licence, measure.higher_is_better)
    assert measure.range == tuple(end if math.isfinite(end) else None for end in reward.range)
    assert measure.aspect == (None if aspect == "judges" else aspect)
