"""Caption mistakes: scenes that differ from their captions, as pictures on the web differ from their alt texts."""

import random
from collections.abc import Callable
from dataclasses import replace

from versat2i.shapes.world.grammar import MAX_OBJECTS, Description

WRONG = 0.45  # share of captions
WEIGHTS = {"background": 0.4, "missing": 0.35, "too many": 0.15, "swap": 0.1}  # of the mistakes that a scene allows
MOST_RELATED = 3  # objects that find room beside each other in a stated relation


def _cut_out(said: Description, rng: random.Random) -> Description | None:
    """Put the scene on white, as product pictures are, whatever background is named; on black where that is white."""
    if said.background is None:
        return None
    return replace(said, background="black" if said.background == "white" else "white")


def _missing(said: Description, rng: random.Random) -> Description | None:
    """Without one of the kinds; of one kind alone, with one object less."""
    if len(said.groups) > 1:
        left = rng.choice(said.groups)
        return replace(said, groups=tuple(group for group in said.groups if group is not left), relation=None)
    (group,) = said.groups
    return replace(said, groups=(replace(group, count=group.count - 1),)) if group.count > 1 else None


def _too_many(said: Description, rng: random.Random) -> Description | None:
    """Add one object too many of a kind."""
    if sum(group.count for group in said.groups) == (MOST_RELATED if said.relation else MAX_OBJECTS):
        return None
    more = rng.choice(said.groups)
    grown = replace(more, count=more.count + 1)
    return replace(said, groups=tuple(grown if group is more else group for group in said.groups))


def _swapped(said: Description, rng: random.Random) -> Description | None:
    """Swap the colours of two kinds."""
    if len(said.groups) < 2:
        return None
    i, j = rng.sample(range(len(said.groups)), 2)
    groups = list(said.groups)
    groups[i] = replace(said.groups[i], color=said.groups[j].color)
    groups[j] = replace(said.groups[j], color=said.groups[i].color)
    swapped = replace(said, groups=tuple(groups))
    return None if swapped.held_out else swapped


_MISTAKES: dict[str, Callable[[Description, random.Random], Description | None]] = {
    "background": _cut_out,
    "missing": _missing,
    "too many": _too_many,
    "swap": _swapped,
}


def shown(said: Description, rng: random.Random, wrong: float = WRONG) -> Description:
    """What a picture shows that comes with a caption: what it says, or with one mistake.

    Held-out combinations never come up.

    Args:
        said: what the caption says.
        rng: draws whether and how they differ.
        wrong: share of captions with a mistake.
    """
    if rng.random() >= wrong:
        return said
    found = {name: seen for name, mistake in _MISTAKES.items() if (seen := mistake(said, rng)) is not None}
    return found[rng.choices(list(found), [WEIGHTS[name] for name in found])[0]]
