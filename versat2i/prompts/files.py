"""Prompts of a file, with their questions where it has any: one's own, or those of a public benchmark."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from versat2i.prompts import formats
from versat2i.prompts.geneval import geneval
from versat2i.prompts.questions import category, dsg, questions
from versat2i.prompts.records import Prompt
from versat2i.prompts.rows import Row, text_column


def _plain(found: list[Row], column: str, source: str) -> list[Prompt]:
    """One prompt a row."""
    return [Prompt(row.text(column), source, category(row, column)) for row in found]


@dataclass(frozen=True)
class Layout:
    """What the columns of a file mean.

    Attributes:
        needs: the columns it needs beside that of the prompts; the first gives it away.
        prompts: from the rows, the column of the prompts and the file's name to the prompts.
    """

    needs: tuple[str, ...]
    prompts: Callable[[list[Row], str, str], list[Prompt]]


LAYOUTS = (
    Layout(("question_natural_language", "item_id", "proposition_id", "dependency"), dsg),
    Layout(("question", "answer"), questions),
    Layout(("include", "tag"), geneval),
)
"""A file of none of these holds one prompt a row."""


def read(path: Path, format: str = "auto") -> list[Prompt]:
    """The prompts of a file, in order.

    Args:
        path: plain lines; or rows with a column `text`, `prompt` or `caption` and perhaps `category`; or with
            questions (docs/pipeline.md); or a file of TIFA, DSG, GenEval, PartiPrompts or T2I-CompBench.
        format: how the file is written, a name in `formats.KINDS`; `auto` goes by its content, then its ending.

    Raises:
        ValueError: the file is missing, empty, not readable, lacks a column, or a row is not as it should be.
    """
    found = formats.read(path, format)
    columns: set[str] = set().union(*(row.values for row in found))
    text = text_column(columns)
    if text is None:
        raise ValueError(f"{path}: has no column text, prompt or caption (found: {_listed(columns)})")
    layout = next((layout for layout in LAYOUTS if layout.needs[0] in columns), None)
    if layout is None:
        return _plain(found, text, path.name)
    missing = [name for name in layout.needs if name not in columns]
    if missing:
        raise ValueError(
            f"{path}: has {layout.needs[0]} but no column {', '.join(missing)} (found: {_listed(columns)})"
        )
    return layout.prompts(found, text, path.name)


def _listed(columns: set[str]) -> str:
    return ", ".join(sorted(columns))
