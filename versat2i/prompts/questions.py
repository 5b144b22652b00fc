"""Questions that stand in a file, one a row: TIFA's and one's own, and DSG's."""

import re
from collections import Counter, defaultdict

from versat2i.prompts.records import YES_NO, Prompt, Question, prompt_id, question
from versat2i.prompts.rows import Counts, Row

NO_PARENT = ("", "0", "nan")  # of DSG, of an empty cell, of a column that pandas has written


def origin(name: str) -> str:
    """The data set that an id of TIFA or DSG names: ``coco`` of ``coco_301091``; empty if it names none."""
    match = re.fullmatch(r"(.*[^_])_\d+", name)
    return match[1] if match else ""


def category(row: Row, text: str) -> str:
    """Category of a row: the file's own, or for TIFA's files the data set that its id names."""
    return row.label("category") or (origin(row.label("id")) if text == "caption" else "")


def questions(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """Prompts from rows of ``question, answer`` and perhaps ``choices, element_type, question_id, parent_ids``.

    TIFA's question-answer file is one of these. Rows of the same prompt belong together. Without
    ``question_id`` the questions of a prompt are numbered, and one that is there twice is asked once.

    Args:
        rows: one a question.
        text: the column of the prompts.
        source: the file's name.
        counts: as in `rows.Counts`.

    Raises:
        ValueError: a value is missing or wrong; the row is named.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[prompt_id(row.text(text))].append(row)
    return [Prompt(group[0].text(text), source, category(group[0], text), _asked(group)) for group in groups.values()]


def _asked(group: list[Row]) -> list[Question]:
    """The questions of one prompt."""
    if not any(row.optional("question_id") for row in group):
        return _numbered(group)
    names = _names(group, "question_id")
    asked = []
    for name, row in zip(names, group, strict=True):
        parents = row.words("parent_ids")
        unknown = next((parent for parent in parents if parent not in names or parent == name), None)
        if unknown is not None:
            raise row.error(f"parent_ids names {unknown!r}, which is no other question of the prompt")
        asked.append(_question(row, name, parents))
    return asked


def _numbered(group: list[Row]) -> list[Question]:
    asked: dict[tuple[str, ...], Question] = {}
    for row in group:
        if row.words("parent_ids"):
            raise row.error("parent_ids needs a column question_id with the names that it refers to")
        new = _question(row, str(len(asked)), [])
        asked.setdefault((row.word("question"), row.word("answer"), *new["choices"]), new)
    return list(asked.values())


def _question(row: Row, name: str, parents: list[str]) -> Question:
    answer = row.word("answer")
    choices = list(dict.fromkeys(row.words("choices") or YES_NO))
    if len(choices) < 2:
        raise row.error(f"{choices[0]!r} is the only choice, expected at least two")
    if answer.lower() not in [choice.lower() for choice in choices]:
        raise row.error(f"the answer {answer!r} is none of the choices {', '.join(choices)}")
    return question(name, row.word("question"), choices, answer, row.label("element_type"), parents)


def _names(group: list[Row], column: str) -> list[str]:
    names = [row.word(column) for row in group]
    times = Counter(names)
    for name, row in zip(names, group, strict=True):
        if times[name] > 1:
            raise row.error(f"{column} {name} is there twice for one prompt")
    return names


def dsg(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """Prompts from DSG's annotations: yes-or-no questions to which the prompt says yes, with dependencies.

    In DSG-1k some dependencies name the question itself, which changes no score: they are left out. Some name a word,
    or a question that is not there: these are left out and counted, `Prompt.unknown_parents`.

    Args:
        rows: one a question, with ``item_id, proposition_id, dependency, question_natural_language`` and
            perhaps ``category_broad, category_detailed``.
        text: the column of the prompts.
        source: the file's name.
        counts: as in `rows.Counts`.

    Raises:
        ValueError: a value is missing, or two questions of a prompt have one id; the row is named.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.word("item_id")].append(row)
    return [_dsg_prompt(item, group, text, source) for item, group in groups.items()]


def _dependencies(row: Row) -> list[str]:
    """Ids with commas between, a list of them, or nothing."""
    parts = row.label("dependency").strip("[]").split(",")
    return list(dict.fromkeys(part.strip(" '\"").removesuffix(".0") for part in parts))


def _dsg_prompt(item: str, group: list[Row], text: str, source: str) -> Prompt:
    names = _names(group, "proposition_id")
    asked, unknown = [], 0
    for name, row in zip(names, group, strict=True):
        if row.text(text) != group[0].text(text):
            raise row.error(f"the {text} of {item} is not that of its other rows: {row.text(text)!r}")
        depends = _dependencies(row)
        parents = [part for part in depends if part in names and part not in ("0", name)]
        unknown += sum(part not in names and part not in NO_PARENT for part in depends)
        kind = " - ".join(filter(None, (row.label("category_broad"), row.label("category_detailed").strip("-"))))
        asked.append(question(name, row.word("question_natural_language"), YES_NO, "yes", kind, parents))
    return Prompt(group[0].text(text), source, origin(item), asked, unknown)
