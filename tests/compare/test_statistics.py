"""Paired statistics give what can be worked out by hand, and intervals that cover as often as they say."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.compare import statistics

steady = settings(derandomize=True, max_examples=12, deadline=None)

BOOTSTRAP = {"seed": 0, "resamples": 500}


def table(values, shift=0.0):
    """Scores from ``[prompts, images]``; NaN abstains."""
    prompts, images = np.shape(values)
    score = np.asarray(values, dtype=float).ravel() + shift
    return pd.DataFrame(
        {
            "prompt_id": np.repeat([f"p{n:03d}" for n in range(prompts)], images),
            "k": np.tile(np.arange(images), prompts),
            "score": score,
            "merit": score,
            "abstained": np.where(np.isnan(score), "nothing to judge", None),
        }
    )


def compare(scores, metrics=("tifa",), **changes):
    return statistics.compare(scores, metrics=metrics, **(BOOTSTRAP | changes))


VALUES = np.random.default_rng(1).normal(size=(20, 3))


def test_the_schema_is_plain_json_without_nan():
    scores = {
        variant: {
            "tifa": table(VALUES, shift),
            "piqe": table(np.full((20, 1), np.nan)),
        }
        for variant, shift in {"base": 0.0, "uniform": 0.1, "mixture": 0.3}.items()
    }
    result = json.loads(json.dumps(compare(scores), allow_nan=False))
    assert set(result) == {"base", "uniform", "mixture", "summary"}
    assert set(result["base"]["tifa"]) == {"mean", "abstained"}
    assert set(result["mixture"]["tifa"]) == {"mean", "gain", "low", "high", "win_rate", "abstained"}
    assert result["mixture"]["piqe"] == {"abstained": 20}
    assert set(result["summary"]) == {"uniform", "mixture", "mixture_minus_uniform"}
    assert set(result["summary"]["mixture"]) == {"score", "low", "high"}
    assert set(result["summary"]["mixture_minus_uniform"]) == {"gain", "low", "high"}


def test_an_identical_variant_gains_nothing_and_wins_half():
    result = compare({"base": {"tifa": table(VALUES)}, "same": {"tifa": table(VALUES)}})
    expected = {"gain": 0.0, "low": 0.0, "high": 0.0, "win_rate": 0.5, "abstained": 0}
    assert result["same"]["tifa"] == result["base"]["tifa"] | expected
    assert result["summary"]["same"] == {"score": 0.0, "low": 0.0, "high": 0.0}


@steady
@given(st.integers(-100, 100).map(lambda n: n / 8))
def test_a_shift_is_the_gain_with_an_interval_of_no_width(shift):
    result = compare({"base": {"tifa": table(VALUES)}, "shifted": {"tifa": table(VALUES, shift)}})
    entry = result["shifted"]["tifa"]
    assert entry["gain"] == entry["low"] == entry["high"] == shift
    assert entry["win_rate"] == (1 + np.sign(shift)) / 2
    spread = VALUES.mean(axis=1).std()
    assert result["summary"]["shifted"]["score"] == pytest.approx(shift / spread, abs=1e-6)


def test_numbers_worked_out_by_hand():
    base = table([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.5, 0.5]])  # prompts: .5 1 0 .5
    better = table([[1.0, 1.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])  # gains: .5 -.5 .5 0
    result = compare({"base": {"tifa": base}, "better": {"tifa": better}})
    entry = result["better"]["tifa"]
    assert (entry["mean"], entry["gain"], entry["win_rate"]) == (0.625, 0.125, 0.625)
    assert entry["low"] < 0.125 < entry["high"]
    # standard deviation of .5 1 0 .5 is sqrt(1/8)
    assert result["summary"]["better"]["score"] == pytest.approx(0.125 * 8**0.5, abs=1e-6)


def test_only_images_that_did_not_abstain_count_and_only_prompts_both_scored_are_paired():
    nan = np.nan
    base = table([[0.0, nan], [nan, nan], [0.2, 0.4], [0.5, 0.5]])
    other = table([[1.0, 0.0], [9.0, 9.0], [nan, 0.5], [nan, nan]])
    entry = compare({"base": {"tifa": base}, "other": {"tifa": other}})["other"]["tifa"]
    assert entry["gain"] == pytest.approx((0.5 + 0.2) / 2)
    assert entry["mean"] == pytest.approx((0.5 + 9.0 + 0.5) / 3, abs=1e-6)
    assert entry["abstained"] == 3
    assert "more_abstentions" not in entry


def test_more_abstentions_than_base_has_are_flagged():
    blank = VALUES.copy()
    blank[3, 1] = np.nan
    result = compare({"base": {"tifa": table(VALUES)}, "shy": {"tifa": table(blank)}})
    assert result["shy"]["tifa"]["more_abstentions"] is True


def test_a_tie_survives_another_order_of_the_same_images():
    images = np.array([[0.1, 0.2, 0.3, 0.7, 0.6]] * 4)
    result = compare({"base": {"tifa": table(images)}, "turned": {"tifa": table(images[:, ::-1])}})
    assert result["turned"]["tifa"]["win_rate"] == 0.5


def test_judges_stand_beside_and_do_not_enter_the_summary():
    def scores(judge_shift):
        return {
            "base": {"tifa": table(VALUES), "judge": table(VALUES)},
            "tuned": {"tifa": table(VALUES, 0.5), "judge": table(VALUES, judge_shift)},
        }

    calm, alarmed = compare(scores(0.0)), compare(scores(-9.0))
    assert calm["summary"] == alarmed["summary"]
    assert alarmed["tuned"]["judge"]["gain"] == -9.0


def test_the_summary_does_not_depend_on_the_scale_of_a_metric():
    def scores(scale):
        return {
            "base": {"tifa": table(VALUES), "geometry": table(scale * VALUES[::-1])},
            "tuned": {"tifa": table(VALUES, 0.5), "geometry": table(scale * (VALUES[::-1] + 0.5))},
        }

    both = ["tifa", "geometry"]
    assert compare(scores(1.0), both)["summary"] == compare(scores(1000.0), both)["summary"]


def test_a_metric_without_spread_in_base_is_left_out_and_counted():
    flat = np.full((20, 3), 0.1)
    scores = {
        "base": {"tifa": table(VALUES), "geometry": table(flat)},
        "tuned": {"tifa": table(VALUES, 0.5), "geometry": table(flat, 0.5)},
    }
    result = compare(scores, ["tifa", "geometry"])["summary"]["tuned"]
    assert result == compare(scores)["summary"]["tuned"] | {"metrics_left_out": 1}
    assert compare(scores, ["geometry"])["summary"] == {}


def test_mixture_minus_uniform_is_paired():
    noise = np.random.default_rng(2).normal(size=VALUES.shape)
    scores = {
        "base": {"tifa": table(VALUES)},
        "uniform": {"tifa": table(VALUES + noise)},
        "mixture": {"tifa": table(VALUES + noise, 0.25)},
    }
    result = compare(scores)["summary"]
    difference = result["mixture_minus_uniform"]
    assert difference["low"] == difference["high"] == difference["gain"]
    assert difference["gain"] == pytest.approx(0.25 / VALUES.mean(axis=1).std(), abs=1e-6)
    assert result["mixture"]["high"] - result["mixture"]["low"] > 0.1


def test_groups_are_compared_apart():
    shifts = np.where(np.arange(20) < 5, 1.0, -1.0)[:, None]
    scores = {"base": {"tifa": table(VALUES)}, "tuned": {"tifa": table(VALUES + shifts)}}
    labels = ["held_out"] * 5 + ["seen"] * 14
    groups = pd.Series([*labels, "other_split"], index=[*(f"p{n:03d}" for n in range(19)), "unknown"])
    result = statistics.by_group(scores, groups, metrics=["tifa"], **BOOTSTRAP)
    assert set(result) == {"held_out", "seen"}
    assert result["held_out"]["tuned"]["tifa"]["gain"] == 1.0
    assert result["seen"]["tuned"]["tifa"]["gain"] == -1.0


def test_the_bootstrap_draws_as_many_prompts_as_there_are():
    counts = statistics.bootstrap_counts(7, seed=0, resamples=50)
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_the_interval_covers_the_true_gain_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    prompts, gain, covered = 60, 0.4, []
    for seed in range(100):
        counts = statistics.bootstrap_counts(prompts, seed=seed, resamples=500)
        for drawn in rng.normal(gain, 1.0, size=(10, prompts)):
            found = statistics.interval(statistics.resampled_mean(drawn, counts))
            covered.append(found["low"] <= gain <= found["high"])
    assert 0.92 <= np.mean(covered) <= 0.97


@steady
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    noise = np.random.default_rng(4).normal(size=VALUES.shape)
    scores = {"base": {"tifa": table(VALUES)}, "tuned": {"tifa": table(VALUES + noise)}}
    order = random.sample(range(VALUES.size), VALUES.size)
    shuffled = {"base": scores["base"], "tuned": {"tifa": scores["tuned"]["tifa"].iloc[order]}}
    assert compare(scores) == compare(shuffled)


@pytest.mark.parametrize(
    "scores, complaint",
    [
        ({"tuned": {"tifa": table(VALUES)}}, "'base' is missing"),
        ({"base": {}}, "no image has a score"),
        ({"base": {"piqe": table(VALUES)}}, "evaluate@base: no scores of tifa"),
        ({"base": {"tifa": table(VALUES)}, "tuned": {}}, "evaluate@tuned: metrics"),
        (
            {"base": {"tifa": table(VALUES)}, "tuned": {"tifa": table(VALUES[:, :2])}},
            "evaluate@tuned: tifa and base's tifa differ in 20 images",
        ),
    ],
)
def test_what_cannot_be_paired_is_an_error_that_names_the_variant(scores, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare(scores)


def test_a_metric_of_which_less_is_better_keeps_its_own_unit_and_its_gains_point_up():
    """PIQE falls from 40 to 30 for the expert: means are those numbers, the gain is +10, and it wins every prompt."""

    def piqe(values):
        frame = table(values)
        return frame.assign(merit=-frame["score"])

    scores = {"base": {"piqe": piqe([[40.0], [40.0]])}, "expert": {"piqe": piqe([[30.0], [30.0]])}}
    found = compare(scores, ("piqe",))
    assert found["base"]["piqe"] == {"mean": 40.0, "abstained": 0, "lower_is_better": True}
    entry = found["expert"]["piqe"]
    assert (entry["mean"], entry["gain"], entry["low"], entry["high"], entry["win_rate"]) == (
        30.0,
        10.0,
        10.0,
        10.0,
        1.0,
    )


def test_with_a_first_base_gains_over_it_stand_beside_those_over_base():
    shifts = {"base": 0.2, "first": 0.0, "mixture": 0.5}
    scores = {variant: {"tifa": table(VALUES, shift)} for variant, shift in shifts.items()}
    result = compare(scores)
    assert result["mixture"]["tifa"]["gain"] == 0.3
    assert result["mixture"]["tifa"]["over_first"] == {"gain": 0.5, "low": 0.5, "high": 0.5}
    assert result["base"]["tifa"]["over_first"]["gain"] == 0.2
    assert "over_first" not in result["first"]["tifa"] and result["first"]["tifa"]["gain"] == -0.2
    deviation = VALUES.mean(1).std()  # over prompts, of base: a shift changes it nowhere
    assert result["summary"]["base_minus_first"]["gain"] == pytest.approx(0.2 / deviation, abs=1e-6)
    assert result["summary"]["mixture_minus_first"]["gain"] == pytest.approx(0.5 / deviation, abs=1e-6)


@pytest.mark.parametrize("at_once", [1, 10, 21, 10**6])
def test_samples_are_the_same_however_many_are_drawn_at_once(monkeypatch, at_once):
    drawn = np.random.default_rng(3).integers(7, size=(5, 7))
    expected = [[list(row).count(prompt) for prompt in range(7)] for row in drawn]
    monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", at_once)
    assert statistics.bootstrap_counts(7, seed=3, resamples=5).tolist() == expected
