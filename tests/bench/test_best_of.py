"""The best of n of base's images, known without drawing again."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bench import best_of


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_it_is_the_mean_of_the_best_over_all_choices(size):
    scores = np.array([0.3, 0.9, 0.1, 0.5])
    by_hand = np.mean([max(chosen) for chosen in combinations(scores, size)])
    assert best_of.expected_best(scores, size) == pytest.approx(by_hand)


def test_an_image_without_a_score_is_never_the_best():
    assert best_of.expected_best(np.array([np.nan, 2.0]), 2) == 2.0
    assert best_of.expected_best(np.array([np.nan, 2.0, 4.0]), 2) == pytest.approx((2 + 4 + 4) / 3)
    assert np.isnan(best_of.expected_best(np.array([np.nan, np.nan]), 1))


def test_the_number_of_candidates_is_interpolated_by_its_logarithm():
    means = {1: 0.0, 2: 1.0, 4: 2.0, 8: 3.0}
    assert [best_of.needed(means, value) for value in (-1.0, 1.0, 1.5, 3.0)] == pytest.approx([1, 2, 8**0.5, 8])
    assert best_of.needed(means, 3.1) == float("inf")


def scores(sign: int = 1, **prompts: list[float]) -> pd.DataFrame:
    """Merits, and scores of which more (1) or less (-1) is better."""
    rows = [(key, k, sign * merit, merit, None) for key, values in prompts.items() for k, merit in enumerate(values)]
    return pd.DataFrame(rows, columns=["prompt_id", "k", "score", "merit", "abstained"])


def test_an_experts_share_is_its_gain_over_that_of_selection_alone():
    base = scores(a=[0.0] * 7 + [1.0], b=[0.0] * 7 + [3.0])  # means .125 and .375, best 1 and 3
    expert = scores(a=[0.125 + 0.4375], b=[0.375 + 1.3125])
    share, low, high = best_of.share(base, expert)
    assert (share, low, high) == pytest.approx((0.5, 0.5, 0.5))


def test_where_lower_is_better_the_best_is_the_lowest_and_stands_in_the_metrics_own_unit():
    """PIQE of 48, 44, 36, 40: the best of all four is 36. A variant at 40 gains 2 of those 6."""
    base, variant = scores(-1, a=[-48.0, -44.0, -36.0, -40.0] * 2), scores(-1, a=[-40.0])
    row = best_of.table({"piqe": base}, {"piqe": variant}, ["piqe"]).loc["piqe"]
    assert (row["base"], row["best of 8"], row["variant"]) == (42.0, 36.0, 40.0)
    assert row["base"] > row["best of 2"] > row["best of 4"] > 36.0
    assert 1 < row["worth"] < 2 and row["share"] == pytest.approx(2 / 6)


def test_the_chart_has_a_panel_a_metric(tmp_path):
    base, variant = scores(a=[0.0, 0.1, 0.2, 0.3] * 2), scores(a=[0.25])
    rows = best_of.table({"tifa": base, "geometry": base}, {"tifa": variant, "geometry": variant}, ["tifa", "geometry"])
    best_of.chart(rows, "mixture", tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text()
    assert all(drawn.count(f">{word}<") == 1 for word in ("tifa", "geometry", "mixture, one image"))
    best_of.chart(rows, "mixture", tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn
