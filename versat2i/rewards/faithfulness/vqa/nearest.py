"""From an answer in a model's own words to one of the choices."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_ARTICLES = {"a", "an", "the"}
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {name: str(number) for number, name in enumerate(_NAMES)}


def _words(text: str) -> list[str]:
    """Lower-case words without articles, small numbers as digits."""
    words = re.findall(r"\w+", text.lower())
    return [_NUMBERS.get(word, word) for word in words if word not in _ARTICLES]


def nearest_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice most like an answer: most of its words said, then most letters in common.

    TIFA compares sentence embeddings instead, which takes a second model.

    Args:
        text: e.g. ``"The circle is dark red."``.
        choices: e.g. ``["red", "green"]``; the first wins a tie.

    Returns:
        One of `choices`, None for an answer without a word or where there is no choice.
    """
    said = _words(text)
    if not said or not choices:
        return None

    def likeness(choice: str) -> tuple[float, float]:
        words = _words(choice)
        share = sum(word in said for word in words) / max(1, len(words))
        return share, SequenceMatcher(None, " ".join(said), " ".join(words)).ratio()

    return max(choices, key=likeness)
