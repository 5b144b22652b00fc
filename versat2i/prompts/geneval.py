"""GenEval (Ghosh et al. 2023): prompts with what must be seen in the image, and questions about it.

GenEval itself looks with an object detector; these questions ask a VQA for the same things.
"""

import re
from collections.abc import Iterator

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from versat2i.prompts.records import YES_NO, Prompt, Question, question
from versat2i.prompts.rows import Row
from versat2i.settings import complaints

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
"""Those that GenEval tells apart."""

MOST = 5  # the largest number among the choices, unless more things are asked for

Asked = tuple[str, tuple[str, ...], str, str, tuple[str, ...]]  # a question but for its id


class Thing(BaseModel):
    """What must be seen: so many objects of a class, of a colour, placed beside another one."""

    name: str = Field(alias="class", min_length=1)
    count: int = Field(ge=1)
    color: str | None = None
    position: tuple[str, int] | None = None  # e.g. ("left of", 0): of the first thing


_THINGS = TypeAdapter(list[Thing])


def geneval(rows: list[Row], text: str, source: str) -> list[Prompt]:
    """Prompts from GenEval's metadata, with the questions that it answers.

    Presence, number, colour and relative position; the questions about a thing depend on its presence.

    Args:
        rows: with ``tag`` and ``include``, the list of things.
        text: the column of the prompts.
        source: the file's name.

    Raises:
        ValueError: a thing is not as GenEval writes it; the row is named.
    """
    return [Prompt(row.text(text), source, row.word("tag"), _questions(row, text)) for row in rows]


def _things(row: Row) -> list[Thing]:
    try:
        things = _THINGS.validate_python(row.values.get("include"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("include", *first["loc"])))
        raise row.error(f"{place} is {first['input']!r}: {complaints.lowered(first['msg'])}") from None
    for thing in things:
        if thing.color not in (None, *COLORS):
            raise row.error(f"the color {thing.color!r} is none of {', '.join(COLORS)}")
        if thing.position and not 0 <= thing.position[1] < len(things):
            raise row.error(f"{thing.name} is placed beside thing {thing.position[1]}, but there are {len(things)}")
    return things


def _noun(row: Row, text: str, thing: Thing) -> str:
    """A thing as the prompt calls it, e.g. ``clocks``."""
    match = re.search(rf"\b{re.escape(thing.name)}\w*", row.text(text))
    if match is None:
        raise row.error(f"the {text} does not name {thing.name!r}, which must be seen")
    return match[0]


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _presence(noun: str, count: int) -> Asked:
    words = f"Is there {_article(noun)}?" if count == 1 else f"Are there {noun}?"
    return words, YES_NO, "yes", "object", ()


def _about(index: int, things: list[Thing], nouns: list[str]) -> Iterator[Asked]:
    """Number, colour and place of a thing; its presence is asked by the question of the same index."""
    thing, noun = things[index], nouns[index]
    verb = "is" if thing.count == 1 else "are"
    if thing.count > 1:
        numbers = tuple(str(number) for number in range(1, max(MOST, thing.count + 1) + 1))
        yield f"How many {noun} are there?", numbers, str(thing.count), "counting", (str(index),)
    if thing.color:
        yield f"What color {verb} the {noun}?", COLORS, thing.color, "color", (str(index),)
    if thing.position:
        relation, other = thing.position
        words = f"{verb.capitalize()} the {noun} {relation} the {nouns[other]}?"
        yield words, YES_NO, "yes", "spatial", (str(index), str(other))


def _questions(row: Row, text: str) -> list[Question]:
    things = _things(row)
    nouns = [_noun(row, text, thing) for thing in things]
    asked = [_presence(noun, thing.count) for noun, thing in zip(nouns, things, strict=True)]
    for index, noun in enumerate(nouns):
        if nouns.count(noun) == 1:  # else "the bench" would be either of them
            asked += _about(index, things, nouns)
    return [question(str(number), *parts) for number, parts in enumerate(asked)]
