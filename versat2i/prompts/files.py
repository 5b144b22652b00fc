"""Prompts of a file, with their questions where it has any: one's own, or those of a public benchmark."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from versat2i.prompts import formats, oneig, public, syntax
from versat2i.prompts.geneval import geneval, geneval2
from versat2i.prompts.questions import category, dsg, questions
from versat2i.prompts.records import Prompt
from versat2i.prompts.rows import Counts, Row, text_column


def _plain(found: list[Row], column: str, source: str, counts: Counts) -> list[Prompt]:
    """One prompt a row."""
    return [Prompt(row.text(column), source, category(row, column)) for row in found]


@dataclass(frozen=True)
class Layout:
    """Meaning of the columns of a file.

    Attributes:
        needs: the columns it needs, most beside that of the prompts; the first gives it away.
        prompts: from the rows, the column of the prompts, the file's name and `Counts` to the prompts.
        published: whether it is a benchmark's, whose prompts are kept to the letter.
    """

    needs: tuple[str, ...]
    prompts: Callable[[list[Row], str, str, Counts], list[Prompt]]
    published: bool = False


LAYOUTS = (
    Layout(("question_natural_language", "item_id", "proposition_id", "dependency"), dsg, True),
    Layout(("question", "answer"), questions),
    Layout(("include",), geneval, True),
    Layout(("vqa_list",), geneval2, True),
    Layout(("short_description",), public.tiif, True),
    Layout(("prompt_en",), oneig.prompts, True),
    Layout(("prompt_cn",), oneig.prompts, True),
)
"""A file of none of these holds one prompt a row."""


def read(path: Path, format: str = "auto", counts: Counts | None = None) -> list[Prompt]:
    """The prompts of a file, in order.

    Args:
        path: plain lines; or rows with a column `text`, `prompt` or `caption` and perhaps `category`; or with
            questions (docs/pipeline.md); or a file of one of the benchmarks that stand there.
        format: how the file is written, a name in `formats.KINDS`; `auto` goes by its content, then its ending.
        counts: are added to.

    Raises:
        ValueError: the file is missing, empty, not readable, lacks a column, or a row is not as it should be.
    """
    counts = Counter() if counts is None else counts
    found = formats.read(path, format)
    columns: set[str] = set().union(*(row.values for row in found))
    text = public.column(found) or text_column(columns)
    if text is None:
        raise ValueError(f"{path}: has no column text, prompt or caption (found: {_listed(columns)})")
    layout = next((layout for layout in LAYOUTS if layout.needs[0] in columns), None)
    if layout is None and (form := public.form(text, columns)):
        layout = Layout((), form, True)
    if layout is None or not layout.published:
        found = _stripped(found, text, counts)
    if layout is None:
        return _plain(found, text, path.name, counts)
    missing = [name for name in layout.needs if name not in columns]
    if missing:
        raise ValueError(
            f"{path}: has {layout.needs[0]} but no column {', '.join(missing)} (found: {_listed(columns)})"
        )
    return layout.prompts(found, text, path.name, counts)


def _stripped(rows: list[Row], column: str, counts: Counts) -> list[Row]:
    """Rows without the syntax of other tools in their prompts.

    Raises:
        ValueError: a prompt consists of nothing else.
    """
    kept = [row for row in rows if not (row.is_line and syntax.COMMENT.match(str(row.values[column])))]
    if not kept:
        raise rows[0].error("this and all other lines are comments; a line that starts with # and a blank is no prompt")
    counts += Counter(comments=len(rows) - len(kept))
    return [_without_syntax(row, column, counts) for row in kept]


def _without_syntax(row: Row, column: str, counts: Counts) -> Row:
    text = row.values.get(column)
    if not isinstance(text, str) or (bare := syntax.plain(text)) == text:
        return row
    if not bare.strip():
        raise row.error(f"{column} is {text!r}, which is nothing but another tool's syntax. Delete it")
    counts["stripped"] += 1
    return replace(row, values=row.values | {column: bare})


def _listed(columns: set[str]) -> str:
    return ", ".join(sorted(columns))
