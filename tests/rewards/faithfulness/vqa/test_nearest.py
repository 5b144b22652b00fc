"""An answer in a model's own words becomes the nearest choice."""

import pytest

from versat2i.rewards.faithfulness.vqa.nearest import nearest_choice


@pytest.mark.parametrize(
    "text, choice",
    [("It is dark red.", "red"), ("two", "2"), ("purpel", "purple"), ("Yes, there is", "yes"), ("", None)],
)
def test_an_answer_in_own_words_becomes_the_nearest_choice(text, choice):
    assert nearest_choice(text, ["green", "red", "purple", "2", "3", "yes", "no"]) == choice
