"""Texts as words, so that answers can be compared."""

import re

_ARTICLES = {"a", "an", "the"}
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {name: str(number) for number, name in enumerate(_NAMES)}


def words(text: str) -> list[str]:
    """Lower-case words without articles, small numbers as digits."""
    found = re.findall(r"\w+", text.lower())
    return [_NUMBERS.get(word, word) for word in found if word not in _ARTICLES]
