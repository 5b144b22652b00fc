"""Prompt files of LongText-Bench, TIIF-Bench and WISE, in the forms that their authors publish."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from versat2i.prompts import oneig
from versat2i.prompts.records import YES_NO, Prompt, Question, question
from versat2i.prompts.rows import Counts, Row

DESCRIPTIONS = ("short_description", "long_description")  # TIIF: one prompt in few words and in many
QUESTIONS, ANSWERS = "yn_question_list", "yn_answer_list"

Layout = Callable[[list[Row], str, str, Counts], list[Prompt]]


def column(rows: list[Row]) -> str | None:
    """The column of the prompts where it is not what its name says, None: this is none of these files.

    LongText-Bench has a ``text`` beside the ``prompt``: a list of what is to be written in the image.
    """
    columns: set[str] = set().union(*(row.values for row in rows))
    if "prompt" in columns and any(isinstance(row.values.get("text"), list) for row in rows):
        return "prompt"
    return next((name for name in (*DESCRIPTIONS, *oneig.ENDINGS) if name in columns), None)


def form(text: str, columns: set[str]) -> Layout | None:
    """How a file is read that several of its columns give away, None: it is of neither benchmark.

    Args:
        text: the column of its prompts.
        columns: all of its columns.
    """
    if text == "prompt" and "text" in columns:
        return longtext
    return wise if {"explanation", "subcategory"} <= columns else None


def _plain(rows: list[Row], kind: Callable[[Row], str], text: str, source: str) -> list[Prompt]:
    return [Prompt(row.text(text), source, kind(row)) for row in rows]


def longtext(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """LongText-Bench: the ``prompt`` puts what is to be written in quotation marks; the list ``text`` repeats it."""
    return _plain(rows, lambda row: row.label("category"), text, source)


def wise(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """WISE: ``Prompt`` with ``Category`` and ``Subcategory``; the ``Explanation`` is for a judge and left aside."""

    def kind(row: Row) -> str:
        return " - ".join(filter(None, (row.label("category"), row.label("subcategory"))))

    return _plain(rows, kind, text, source)


def tiif(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """TIIF-Bench: each row is a prompt in few words and the same in many, of a ``type``, perhaps with its questions.

    Raises:
        ValueError: questions and answers do not fit each other; the row is named.
    """
    return [
        Prompt(row.text(name), source, row.label("type"), _yes_or_no(row))
        for row in rows
        for name in DESCRIPTIONS
        if name in row.values
    ]


def _yes_or_no(row: Row) -> list[Question]:
    """The questions of a row of TIIF's.

    Raises:
        ValueError: they are not as many as the answers, or an answer is neither yes nor no.
    """
    asked, answers = row.words(QUESTIONS), [answer.lower() for answer in row.words(ANSWERS)]
    if len(asked) != len(answers):
        raise row.error(f"{QUESTIONS} holds {len(asked)} questions, {ANSWERS} {len(answers)} answers")
    for answer in answers:
        if answer not in YES_NO:
            raise row.error(f"{ANSWERS} holds {answer!r}, expected yes or no")
    kind = row.label("type")
    pairs = enumerate(zip(asked, answers, strict=True))
    return [question(str(number), text, YES_NO, answer, kind) for number, (text, answer) in pairs]


def is_asked_by_line(rows: list[Row]) -> bool:
    """Whether a file holds TIIF's questions alone: those of a line belong to the line of its prompts' file."""
    return QUESTIONS in rows[0].values and column(rows) is None and "prompt" not in rows[0].values


def asked_by_line(prompts: list[Prompt], rows: list[Row], path: Path) -> list[Prompt]:
    """TIIF's prompts, two of a line, with the questions of another file, one line for both.

    Raises:
        ValueError: the files are not of one length, or lines are of different types; the line is named.
    """
    if len(prompts) != len(DESCRIPTIONS) * len(rows):
        held = f"{prompts[0].source} holds {len(prompts)} prompts"
        raise ValueError(f"{path}: asks about {len(rows)} rows of prompts, {held}")
    both = [row for row in rows for _ in DESCRIPTIONS]
    for prompt, row in zip(prompts, both, strict=True):
        if row.label("type") != prompt.category:
            other = f"that of the prompt {prompt.text!r} is {prompt.category!r}"
            raise row.error(f"its type is {row.label('type')!r}, {other}")
    return [replace(prompt, questions=_yes_or_no(row)) for prompt, row in zip(prompts, both, strict=True)]
