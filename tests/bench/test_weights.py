"""The search for constant weights climbs to the best that it can reach, and asks for none twice."""

import pytest

from bench import weights

BEST = {"a": 0.75, "b": 0.5}


def score(asked, found):
    asked.append(found)
    return -sum((found[name] - BEST[name]) ** 2 for name in BEST)


def test_the_search_climbs_from_the_best_common_weight_and_asks_once():
    """.5 for both is best of the common ones; a times 1.5 is .75, and nothing is better."""
    asked = []
    tried = weights.search(lambda found: score(asked, found), list(BEST), (0.25, 0.5, 1.0), 1.5, 5)
    assert asked == [found for found, _ in tried]
    assert len({tuple(found.values()) for found in asked}) == len(asked) == 3 + 4 + 1  # then a at 1.125 alone is new
    assert max(tried, key=lambda each: each[1]) == ({"a": 0.75, "b": 0.5}, 0.0)


@pytest.mark.parametrize("rounds", [0, 1])
def test_rounds_bound_the_search(rounds):
    asked = []
    weights.search(lambda found: score(asked, found), list(BEST), (0.5,), 1.5, rounds)
    assert len(asked) == 1 + 4 * rounds
