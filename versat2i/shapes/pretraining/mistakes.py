"""What captions get wrong: scenes that differ from what is said of them, as pictures differ from their alt texts."""

import random
from collections.abc import Callable
from dataclasses import replace

from versat2i.shapes.world.grammar import BACKGROUNDS, MAX_OBJECTS, Description

WRONG = 0.4  # share of captions
WEIGHTS = {"background": 0.4, "number": 0.4, "swap": 0.2}  # of the mistakes that can be made about a scene
MOST_RELATED = 3  # objects that find room beside each other in a stated relation


def _other_background(said: Description, rng: random.Random) -> Description | None:
    """On another background than the one that is named."""
    if said.background is None:
        return None
    return replace(said, background=rng.choice([name for name in BACKGROUNDS if name != said.background]))


def _other_number(said: Description, rng: random.Random) -> Description | None:
    """With one object too many of a kind, or too few: of a single object, without it."""
    changes = [(place, more) for place in range(len(said.groups)) for more in (-1, 1)]
    rng.shuffle(changes)
    for place, more in changes:
        group = said.groups[place]
        total = sum(group.count for group in said.groups) + more
        if not 1 <= total <= (MOST_RELATED if said.relation else MAX_OBJECTS):
            continue
        left = [replace(group, count=group.count + more)] if group.count + more else []
        groups = (*said.groups[:place], *left, *said.groups[place + 1 :])
        return replace(said, groups=groups, relation=said.relation if left else None)
    return None


def _swapped(said: Description, rng: random.Random) -> Description | None:
    """With the colours of two kinds swapped."""
    if len(said.groups) < 2:
        return None
    groups = list(said.groups)
    i, j = rng.sample(range(len(groups)), 2)
    groups[i], groups[j] = replace(groups[i], color=groups[j].color), replace(groups[j], color=groups[i].color)
    return None if any(group.held_out for group in groups) else replace(said, groups=tuple(groups))


_MISTAKES: dict[str, Callable[[Description, random.Random], Description | None]] = {
    "background": _other_background,
    "number": _other_number,
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
