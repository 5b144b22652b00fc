"""GenEval (Ghosh et al. 2023): prompts with what must be seen in the image, and questions about it.

GenEval itself looks with an object detector; these questions ask a VQA for the same things.
"""

import re
from collections.abc import Iterator

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from versat2i.prompts.records import YES_NO, Prompt, Question, normalise, question, readable
from versat2i.prompts.rows import Counts, Row
from versat2i.settings import complaints
from versat2i.words import words

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
"""Those that GenEval tells apart."""

MOST = 5  # the largest number among the choices, unless more things are asked for

Asked = tuple[str, tuple[str, ...], str, str, tuple[str, ...]]  # a question but for its id


class Thing(BaseModel):
    """One requirement of GenEval: a number of objects of a class, their colour, their place beside another object."""

    name: str = Field(alias="class", min_length=1)
    count: int = Field(ge=1)
    color: str | None = None
    position: tuple[str, int] | None = None  # e.g. ("left of", 0): of the first thing


_THINGS = TypeAdapter(list[Thing])
_PAIRS = TypeAdapter(list[tuple[str, str]])


def geneval(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """Prompts from GenEval's metadata, with the questions that it answers.

    Presence, number, colour and relative position; the questions about a thing depend on its presence.

    Args:
        rows: with ``tag`` and ``include``, the list of things.
        text: the column of the prompts.
        source: the file's name.
        counts: as in `rows.Counts`.

    Raises:
        ValueError: a thing is not as GenEval writes it; the row is named.
    """
    return [Prompt(row.text(text), source, row.label("tag"), _questions(row, text, counts)) for row in rows]


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


IRREGULAR = {
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "man": "men",
    "mouse": "mice",
    "person": "people",
    "scissors": "scissors",
    "sheep": "sheep",
    "shelf": "shelves",
    "skis": "skis",
    "tooth": "teeth",
    "wolf": "wolves",
    "woman": "women",
}
"""Plurals of GenEval's classes, and of a few more things, that no rule gives; also as the last part of a word."""


def plural(noun: str) -> str:
    """Several of a thing: ``wine glasses``, ``computer mice``."""
    for one, several in IRREGULAR.items():
        if re.search(rf"\b{one}$", noun, re.I):
            return noun[: -len(one)] + several
    if re.search(r"[^aeiou]y$", noun, re.I):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(s|x|z|ch|sh)$", noun, re.I) else f"{noun}s"


def _noun(text: str, thing: Thing, counts: Counts) -> str:
    """Name a thing as the prompt does, in singular or plural as asked; if the prompt does not name it, by its class.

    GenEval itself writes ``benchs``, so any class with an s is taken for several.
    """
    several = (plural(thing.name), f"{thing.name}s")
    own = thing.name if thing.count == 1 else several[0]
    for form in (thing.name,) if thing.count == 1 else several:
        if match := re.search(rf"\b{re.escape(form)}\b", text, re.I):
            return match[0] if match[0].isupper() else match[0].lower()
    if not any(re.search(rf"\b{re.escape(form)}\b", text, re.I) for form in (thing.name, *several)):
        counts["unnamed"] += 1
    return own


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
        yield f"How many {noun} are there?", _numbers(str(thing.count)), str(thing.count), "counting", (str(index),)
    if thing.color:
        yield f"What color {verb} the {noun}?", COLORS, thing.color, "color", (str(index),)
    if thing.position:
        relation, other = thing.position
        words = f"{verb.capitalize()} the {noun} {relation} the {nouns[other]}?"
        yield words, YES_NO, "yes", "spatial", (str(index), str(other))


def _questions(row: Row, text: str, counts: Counts) -> list[Question]:
    things = _things(row)
    nouns = [_noun(row.text(text), thing, counts) for thing in things]
    asked = [_presence(noun, thing.count) for noun, thing in zip(nouns, things, strict=True)]
    for index, noun in enumerate(nouns):
        if nouns.count(noun) == 1:  # else "the bench" would be either of them
            asked += _about(index, things, nouns)
    return [question(str(number), *parts) for number, parts in enumerate(asked)]


def geneval2(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """Prompts from GenEval 2's data, with its own questions: ``vqa_list`` holds pairs of a question and its answer.

    It names no choices: they are yes and no, small numbers, or GenEval's colours, as the answer is. A question with
    another answer is left out and counted.

    Args:
        rows: with ``vqa_list`` and perhaps ``skills``, what each question is about.
        text: the column of the prompts.
        source: the file's name.
        counts: as in `rows.Counts`.

    Raises:
        ValueError: ``vqa_list`` is no list of pairs; the row is named.
    """
    return [Prompt(row.text(text), source, row.label("category"), _pairs(row, counts)) for row in rows]


def _pairs(row: Row, counts: Counts) -> list[Question]:
    try:
        pairs = _PAIRS.validate_python(row.values["vqa_list"])
    except ValidationError:
        raise row.error('vqa_list is expected to hold pairs such as ["Is the kite red?", "Yes"]') from None
    skills = row.values.get("skills")
    kinds = [str(skill) for skill in skills] if isinstance(skills, list) and len(skills) == len(pairs) else None
    asked: list[Question] = []
    for place, (asking, answer) in enumerate(pairs):
        said = " ".join(words(answer))
        choices = next((known for known in (YES_NO, COLORS, _numbers(said)) if said in known), None)
        if choices is None or not asking.strip():
            counts["unasked"] += 1
            continue
        asked.append(
            question(str(len(asked)), normalise(asking), choices, said, readable(kinds[place]) if kinds else "")
        )
    return asked


def _numbers(said: str) -> tuple[str, ...]:
    """The choices of a question whose answer is a number; none if it is not."""
    return tuple(str(number) for number in range(1, max(MOST, int(said) + 1) + 1)) if said.isdecimal() else ()
