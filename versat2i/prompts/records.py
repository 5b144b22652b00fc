"""Prompts and questions as records: what makes two texts the same prompt, and the tables they form."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from versat2i.formats import tables

MAX_LENGTH = tables.LONGEST_TEXT
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")  # the last are halves of a character

YES_NO = ("yes", "no")

Question = dict[str, str | list[str]]
"""A row of the questions table but for its ``prompt_id``."""


@dataclass(frozen=True)
class Prompt:
    """A prompt of a source, with the questions about it if the source has any.

    Attributes:
        unknown_parents: how many names of parents its questions had that are no questions of it; they are left out.
        item: by which a file of questions knows it, where that does not go by its text.
    """

    text: str
    source: str
    category: str
    questions: list[Question] = field(default_factory=list)
    unknown_parents: int = 0
    item: str = ""


def question(
    question_id: str, text: str, choices: Sequence[str], answer: str, element_type: str, parent_ids: Sequence[str] = ()
) -> Question:
    """A question about a prompt.

    Args:
        question_id: its name among the questions of the prompt.
        text: e.g. ``"Is there a star?"``.
        choices: what may be answered.
        answer: the one of them that the prompt says.
        element_type: what it is about: object, color, counting, ...
        parent_ids: the questions that must be answered right for this one to count (DSG).
    """
    return {
        "question_id": question_id,
        "question": text,
        "choices": list(choices),
        "answer": answer,
        "element_type": element_type,
        "parent_ids": list(parent_ids),
    }


def normalise(text: str) -> str:
    """NFC, and runs of white space as one blank; case is kept.

    Raises:
        ValueError: nothing is left, the text is longer than `MAX_LENGTH`, or it holds control characters.
    """
    clean = " ".join(unicodedata.normalize("NFC", text).split())
    if not clean:
        raise ValueError("an empty text")
    if len(clean) > MAX_LENGTH:
        raise ValueError(f"a text of {len(clean)} characters ({clean[:40]!r}...); at most {MAX_LENGTH} are allowed")
    if _CONTROL.search(clean):
        raise ValueError(f"a text with control characters ({clean[:40]!r})")
    return clean


def readable(text: str) -> str:
    """Normalise a text that nobody may have written with care; empty where `normalise` refuses it."""
    try:
        return normalise(text)
    except ValueError:
        return ""


def prompt_id(text: str) -> str:
    """Hash of the normalised text: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:16]


def to_tables(prompts: Iterable[Prompt]) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The tables `prompts` and `questions` of prompts, in their order.

    The first of equals is kept, with the questions of the first of them that has any.

    Returns:
        prompts, questions, and how many duplicates were merged.
    """
    rows: dict[str, tuple[str, str, str, str]] = {}
    asked: dict[str, list[Question]] = {}
    merged = 0
    for prompt in prompts:
        text = normalise(prompt.text)
        key = prompt_id(text)
        if key in rows:
            merged += 1
        rows.setdefault(key, (key, text, prompt.source, prompt.category))
        asked[key] = asked.get(key) or prompt.questions
    questions = [{**row, "prompt_id": key} for key in rows for row in asked[key]]
    return (
        pd.DataFrame(rows.values(), columns=tables.SCHEMAS["prompts"].names),
        pd.DataFrame(questions, columns=tables.SCHEMAS["questions"].names),
        merged,
    )
