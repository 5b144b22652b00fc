"""Texts become words that can be compared."""

import pytest

from versat2i.words import words


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The circle is dark red.", ["circle", "is", "dark", "red"]),
        ("Two of THE ten", ["2", "of", "10"]),
        ("an apple, a pear", ["apple", "pear"]),
        ("eleven 12", ["eleven", "12"]),
        ("naïve", ["naïve"]),
        (" ?! ", []),
    ],
)
def test_words_are_in_lower_case_without_articles_and_small_numbers_are_digits(text, expected):
    assert words(text) == expected
