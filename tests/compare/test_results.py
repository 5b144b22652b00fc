"""One record of a result: what is written is what is read, and it is told in one way."""

import pytest

from versat2i.compare.results import Evaluation, Result, Together

CELL = {"mean": 0.6, "gain": 0.1, "low": -0.05, "high": 0.2, "win_rate": 0.75, "abstained": 2, "more_abstentions": True}
TABLE = {
    "base": {"tifa": {"mean": 0.5, "abstained": 1}},
    "mixture": {"tifa": CELL},
    "summary": {"mixture": {"score": 0.5, "low": 0.1, "high": 0.9}, "mixture_minus_uniform": {"gain": 0.25}},
}


def test_a_result_is_read_by_its_names():
    found = Evaluation.model_validate(TABLE)
    assert list(found.variants) == ["base", "mixture"]
    assert found.of("mixture", "tifa") == Result(**CELL) and found.of("base", "tifa") == Result(mean=0.5, abstained=1)
    assert found.of("mixture", "tifa").model_dump(exclude_defaults=True) == CELL


def test_a_gain_over_base_and_one_over_another_union_are_both_gains():
    summary = Evaluation.model_validate(TABLE).summary
    assert summary["mixture"].gain == 0.5 and summary["mixture_minus_uniform"].gain == 0.25


@pytest.mark.parametrize(
    "gain, digits, told",
    [
        (Result(**CELL), 4, "+0.1000 [-0.0500, +0.2000]"),
        (Together(gain=-0.125, low=-0.25, high=0.0), 3, "-0.125 [-0.250, +0.000]"),
        (Result(mean=0.5, abstained=0), 4, "-"),
    ],
)
def test_a_gain_is_told_with_its_interval(gain, digits, told):
    assert gain.told(digits) == told


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="finite number"):
        Evaluation.model_validate(TABLE | {"mixture": {"tifa": CELL | {"gain": float("nan")}}})
