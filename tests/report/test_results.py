"""The verdict says `better` where the whole interval is above zero, and nowhere else."""

import math

import pytest

from versat2i.compare.results import Evaluation, Result
from versat2i.report import results

TABLE = {
    "base": {"tifa": {"mean": 0.5, "abstained": 1}, "flat": {"mean": 1.0, "abstained": 0}},
    "mixture": {
        "tifa": {"mean": 0.6, "gain": 0.1, "low": 0.05, "high": 0.2, "win_rate": 0.75, "abstained": 2}
        | {"more_abstentions": True},
        "flat": {"mean": 1.0, "gain": 0.0, "low": 0.0, "high": 0.0, "win_rate": 0.5, "abstained": 0},
    },
    "summary": {"mixture": {"score": 0.5, "low": 0.1, "high": 0.9}},
}


def with_interval(low, high):
    return Result(mean=0.6, gain=0.1, low=low, high=high, win_rate=0.5, abstained=0)


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.1, 0.1, "no clear change"),
        (0.0, 0.1, "no clear change"),
        (-0.1, 0.0, "no clear change"),
        (None, None, "not measured"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low, high, verdict):
    assert with_interval(low, high).verdict == verdict


@pytest.mark.parametrize("variant, metric", [("uniform", "tifa"), ("mixture", "geometry")])
def test_a_cell_that_is_not_there_is_named(variant, metric):
    with pytest.raises(ValueError, match=rf"evaluate\.json: has no .*{metric} of {variant}.*dvc repro compare"):
        Evaluation.model_validate(TABLE).of(variant, metric)


def test_the_sentence_counts_what_it_says():
    intervals = [(0.1, 0.2), (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)]
    said = results.sentence([with_interval(low, high) for low, high in intervals])
    assert said == "Better in 2 of 4 aspects, worse in 1, no clear change in 1."


def test_gains_are_in_units_of_base_and_a_metric_without_spread_has_none():
    table = results.standardised(Evaluation.model_validate(TABLE), {"tifa": 0.2, "flat": 0.0})
    assert list(table.index) == ["mixture"] and list(table.columns) == ["tifa", "flat"]
    assert table.loc["mixture", "tifa"] == pytest.approx(0.5)
    assert math.isnan(table.loc["mixture", "flat"])


@pytest.mark.parametrize("variants, expected", [(["base", "mixture", "geometry"], "mixture"), (["base", "sum"], "sum")])
def test_the_headline_is_the_mixture_or_else_the_last_variant(variants, expected):
    assert results.headline(variants) == expected
