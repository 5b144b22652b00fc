"""Prompts as records: what makes two texts the same prompt, and the table they form."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from versat2i import tables

MAX_LENGTH = 2000  # characters; a text encoder reads a few hundred at most
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Prompt:
    """A prompt of a source, with the questions about it if the source has any."""

    text: str
    source: str
    category: str
    questions: list[dict] = field(default_factory=list)  # rows of the questions table


def normalise(text: str) -> str:
    """NFC, and runs of white space as one blank; case is kept.

    Raises:
        ValueError: nothing is left, the text is longer than `MAX_LENGTH`, or it holds control characters.
    """
    clean = " ".join(unicodedata.normalize("NFC", text).split())
    if not clean:
        raise ValueError("an empty prompt")
    if len(clean) > MAX_LENGTH:
        raise ValueError(f"a prompt of {len(clean)} characters ({clean[:40]!r}...); at most {MAX_LENGTH} are allowed")
    if _CONTROL.search(clean):
        raise ValueError(f"a prompt with control characters ({clean[:40]!r})")
    return clean


def prompt_id(text: str) -> str:
    """Hash of the normalised text: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:16]


def to_tables(prompts: Iterable[Prompt]) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The tables `prompts` and `questions` of prompts, in their order; the first of equals is kept.

    Returns:
        prompts, questions, and how many duplicates were merged.
    """
    rows: dict[str, tuple[str, str, str, str]] = {}
    questions: list[dict] = []
    merged = 0
    for prompt in prompts:
        text = normalise(prompt.text)
        key = prompt_id(text)
        if key in rows:
            merged += 1
            continue
        rows[key] = (key, text, prompt.source, prompt.category)
        questions += [{**question, "prompt_id": key} for question in prompt.questions]
    return (
        pd.DataFrame(rows.values(), columns=tables.SCHEMAS["prompts"].names),
        pd.DataFrame(questions, columns=tables.SCHEMAS["questions"].names),
        merged,
    )
