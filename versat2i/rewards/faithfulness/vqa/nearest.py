"""Map an answer in a model's own words to one of the choices."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from versat2i.words import words


def nearest_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice most like an answer: most of its words said, then most letters in common.

    TIFA compares sentence embeddings instead, which takes a second model.

    Args:
        text: e.g. ``"The circle is dark red."``.
        choices: e.g. ``["red", "green"]``; the first wins a tie.

    Returns:
        One of `choices`, None for an answer without a word or where there is no choice.
    """
    said = words(text)
    if not said or not choices:
        return None

    def likeness(choice: str) -> tuple[float, float]:
        named = words(choice)
        share = sum(word in said for word in named) / max(1, len(named))
        return share, SequenceMatcher(None, " ".join(said), " ".join(named)).ratio()

    return max(choices, key=likeness)


def choice_of(
    text: str, choices: Sequence[str], nearest: Callable[[str, Sequence[str]], str | None] = nearest_choice
) -> str | None:
    """The choice that an answer is, without regard to case and outer blanks, else the nearest one.

    Args:
        text: the answer; an empty one is none of the choices.
        choices: to choose from.
        nearest: finds the nearest one.
    """
    said = text.strip().lower()
    if not said or not choices:
        return None
    for choice in choices:
        if choice.strip().lower() == said:
            return choice
    return nearest(text, choices)
