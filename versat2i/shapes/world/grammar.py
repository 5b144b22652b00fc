"""The language of the embedded world: what a prompt can say, how it is phrased, how it is read back.

A `Description` is the meaning of a prompt. `phrase` turns it into English, `parse` turns English
into it, `sample` draws random ones. Some colour-and-shape combinations are held out: no training
prompt, neither of the base model nor of the pipeline, ever names them.
"""

import random
import re
from dataclasses import dataclass

COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "pink", "cyan")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon", "heart", "cross")
BACKGROUNDS = ("white", "black", "gray", "navy", "beige", "teal")
SIZES = ("small", "large")
COUNTS = ("one", "two", "three", "four")
RELATIONS = ("left of", "right of", "above", "below")

MAX_OBJECTS = 4  # more do not fit 64x64 pixels at a readable size

# Two of the eight combinations of every colour and of every shape.
HELD_OUT = frozenset((COLORS[i], SHAPES[j]) for i in range(8) for j in range(8) if (3 * i + j) % 8 in (1, 4))

_PLURALS = {shape: shape + ("es" if shape.endswith("s") else "s") for shape in SHAPES}
_SINGULARS = {plural: shape for shape, plural in _PLURALS.items()}


@dataclass(frozen=True)
class Group:
    """Some objects that look alike: ``two small red circles``."""

    color: str
    shape: str
    count: int = 1
    size: str | None = None

    @property
    def held_out(self) -> bool:
        return (self.color, self.shape) in HELD_OUT


@dataclass(frozen=True)
class Description:
    """What a prompt says. A relation holds between the first group and the second."""

    groups: tuple[Group, ...]
    relation: str | None = None
    background: str | None = None

    @property
    def category(self) -> str:
        if self.relation:
            return "relation"
        if len(self.groups) == 1:
            return "single" if self.groups[0].count == 1 else "counting"
        return "pair" if len(self.groups) == 2 else "triple"

    @property
    def held_out(self) -> bool:
        return any(group.held_out for group in self.groups)


def plural(shape: str) -> str:
    """``cross`` -> ``crosses``, ``star`` -> ``stars``."""
    return _PLURALS[shape]


def noun(group: Group) -> str:
    """``red circle`` or ``red circles``, without number or size."""
    return f"{group.color} {group.shape if group.count == 1 else plural(group.shape)}"


def with_article(words: str) -> str:
    """``orange star`` -> ``an orange star``."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


# --------------------------------------------------------------------------- description -> English


def _noun_phrase(group: Group, rng: random.Random) -> str:
    words = noun(group) if group.size is None else f"{group.size} {noun(group)}"
    if group.count == 1:
        return f"one {words}" if rng.random() < 0.1 else with_article(words)
    return f"{COUNTS[group.count - 1]} {words}"


def _join(description: Description, rng: random.Random) -> str:
    phrases = [_noun_phrase(group, rng) for group in description.groups]
    if description.relation is None:
        return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    relation = description.relation
    if relation.endswith(" of") and rng.random() < 0.4:
        relation = f"to the {relation}"
    return f"{phrases[0]} {relation} {phrases[1]}"


def phrase(description: Description, rng: random.Random) -> str:
    """One of several English sentences that say the same.

    Args:
        description: what to say.
        rng: picks the phrasing.
    """
    text = _join(description, rng)
    background = description.background
    if background is None:
        return text
    return rng.choice(
        [
            f"{text} on {with_article(background)} background",
            f"{text}, {background} background",
            f"{with_article(background)} background with {text}",
        ]
    )


# --------------------------------------------------------------------------- English -> description

_WORDS = (
    {*COLORS, *SHAPES, *_SINGULARS, *BACKGROUNDS, *SIZES, *COUNTS}
    | {"a", "an", "and", "on", "with", "to", "the", "of", "left", "right", "above", "below", "background"}
)  # fmt: skip
_BACKGROUND = re.compile(
    rf"(?:^(?:an? )({'|'.join(BACKGROUNDS)}) background with )"
    rf"|(?: on an? ({'|'.join(BACKGROUNDS)}) background$)|(?:, ({'|'.join(BACKGROUNDS)}) background$)"
)
_GROUP = re.compile(
    rf"(an?|{'|'.join(COUNTS)}) (?:({'|'.join(SIZES)}) )?({'|'.join(COLORS)}) "
    rf"({'|'.join([*_SINGULARS, *SHAPES])})"
)
_RELATION = re.compile(r" (?:to the )?(left of|right of|above|below) ")


def unknown_words(text: str) -> list[str]:
    """The words of a prompt that the embedded model has never seen, in order."""
    return [word for word in re.findall(r"[^\s,.]+", text.lower()) if word not in _WORDS]


def _parse_group(text: str) -> Group:
    match = _GROUP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not '[count] [size] color shape', e.g. 'two small red circles'")
    number, size, color, shape = match.groups()
    count = COUNTS.index(number) + 1 if number in COUNTS else 1
    return Group(color, _SINGULARS.get(shape, shape), count, size)


def parse(text: str) -> Description:
    """Read a prompt of the grammar: the inverse of `phrase`.

    Raises:
        ValueError: a word or a construction that the grammar does not have, named.
    """
    unknown = unknown_words(text)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a word of the shapes grammar (in {text!r})")
    rest = text.lower().strip().rstrip(".")
    background = None
    if match := _BACKGROUND.search(rest):
        background = next(found for found in match.groups() if found)
        rest = rest[: match.start()] + rest[match.end() :]
    relation = None
    if match := _RELATION.search(rest):
        relation = match.group(1)
        parts = [rest[: match.start()], rest[match.end() :]]
    else:
        parts = re.split(r", | and ", rest)
    return Description(tuple(_parse_group(part) for part in parts), relation, background)


# --------------------------------------------------------------------------- random descriptions

_WEIGHTS = {"single": 0.15, "counting": 0.2, "pair": 0.2, "relation": 0.3, "triple": 0.15}


def _counts(category: str, rng: random.Random) -> list[int]:
    if category == "single":
        return [1]
    if category == "counting":
        return [rng.randint(2, MAX_OBJECTS)]
    if category == "triple":
        return [1, 1, 1]
    return rng.choice([[1, 1], [1, 1], [1, 1], [2, 1], [1, 2]])


def _looks(amount: int, held_out: bool, rng: random.Random) -> list[tuple[str, str]]:
    """Colour-and-shape pairs, all colours and all shapes different.

    With `held_out` the first drawn is a held-out combination, otherwise none is.
    """
    allowed = [(c, s) for c in COLORS for s in SHAPES if (c, s) not in HELD_OUT]
    looks: list[tuple[str, str]] = [rng.choice(sorted(HELD_OUT))] if held_out else []
    while len(looks) < amount:
        color, shape = rng.choice(allowed)
        if all(color != c and shape != s for c, s in looks):
            looks.append((color, shape))
    rng.shuffle(looks)
    return looks


def sample(rng: random.Random, held_out: bool = False) -> Description:
    """A random description.

    Args:
        rng: the only source of chance.
        held_out: with a held-out combination in it, else with none.
    """
    category = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    counts = _counts(category, rng)
    groups = tuple(
        Group(color, shape, count, rng.choice(SIZES) if rng.random() < 0.25 else None)
        for (color, shape), count in zip(_looks(len(counts), held_out, rng), counts, strict=True)
    )
    relation = rng.choice(RELATIONS) if category == "relation" else None
    background = rng.choice(BACKGROUNDS) if rng.random() < 0.7 else None
    return Description(groups, relation, background)
