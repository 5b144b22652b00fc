"""OneIG-Bench's questions: a file a class of its prompts, which knows them by their ids, with DSG's dependencies."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from versat2i.prompts import formats
from versat2i.prompts.records import YES_NO, Prompt, Question, question
from versat2i.prompts.rows import Counts, Row

CLASSES = {  # a category, and what its images and questions are called
    "Anime_Stylization": "anime",
    "Portrait": "human",
    "General_Object": "object",
    "Text_Rendering": "text",
    "Knowledge_Reasoning": "reasoning",
    "Multilingualism": "multilingualism",
}
ENDINGS = {"prompt_en": "", "prompt_cn": "_zh"}  # of the name of a class, by the column of its prompts
DIGITS = 3  # of an id; a program that takes it for a number drops its zeros
ASKED, DEPENDS = "question", "dependency"


def prompts(rows: list[Row], text: str, source: str, counts: Counts) -> list[Prompt]:
    """``prompt_en`` or ``prompt_cn`` with a ``category`` and an ``id``, by which the questions know a prompt."""
    found = []
    for row in rows:
        kind, number = row.label("category"), row.label("id").zfill(DIGITS)
        name = f"{CLASSES[kind]}{ENDINGS[text]}/{number}" if kind in CLASSES else ""
        found.append(Prompt(row.text(text), source, kind, item=name))
    return found


def asks(path: Path) -> bool:
    """Whether these are such questions: a folder, or a file of JSON with questions and dependencies by id."""
    if path.is_dir():
        return True
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        held = json.loads(formats.decoded(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return False  # whoever reads it as another file says what is wrong
    first = next(iter(held.values()), None) if isinstance(held, dict) else None
    return isinstance(first, dict) and {ASKED, DEPENDS} <= set(first)


def asked(found: list[Prompt], path: Path) -> list[Prompt]:
    """Prompts with their questions, of a folder (``scripts/alignment/Q_D``) or of one of its files.

    Classes without a file have none: text and knowledge are judged otherwise.

    Raises:
        ValueError: nothing is asked about any prompt, or a question is not as it should be; it is named.
    """
    known = {name: entry for file in _files(path) for name, entry in _entries(file)}
    if not any(prompt.item in known for prompt in found):
        raise ValueError(
            f"{path}: asks about none of the {len(found)} prompts of {found[0].source}. OneIG-Bench's questions are "
            "told apart by category and id, and by language: prompt_cn goes with files whose names end in _zh"
        )
    return [_told(prompt, known[prompt.item]) if prompt.item in known else prompt for prompt in found]


def _files(path: Path) -> list[Path]:
    """The files of questions, in the order of their names.

    Raises:
        ValueError: a folder holds none.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.glob("*.json")) if asks(file)]
    if not files:
        raise ValueError(f"{path}: no file of OneIG-Bench's questions here, such as anime.json")
    return files


def _entries(file: Path) -> Iterator[tuple[str, Row]]:
    """What is asked about each prompt, by the name of the file and its id."""
    for name, entry in json.loads(formats.decoded(file.read_bytes())).items():
        where = f"{file}: {name}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} is {type(entry).__name__}, expected an object with {ASKED} and {DEPENDS}")
        yield f"{file.stem}/{name}", Row(where, entry)


def _numbered(row: Row, column: str) -> dict[str, Any]:
    """An object by the numbers of questions, which may be written as a text.

    Raises:
        ValueError: it is none.
    """
    value = row.values.get(column)
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found:
        raise row.error(f'{column} is {value!r:.100}, expected an object such as {{"1": ...}}')
    return found


def _told(prompt: Prompt, row: Row) -> Prompt:
    """A prompt with its yes-or-no questions, all of which it says yes to."""
    texts, depends = _numbered(row, ASKED), _numbered(row, DEPENDS)
    questions: list[Question] = []
    unknown = 0
    for name in texts:
        parents = list(_parents(row, name, depends.get(name, [])))
        unknown += sum(parent not in texts for parent in parents)
        kept = [parent for parent in parents if parent in texts and parent != name]
        questions.append(question(name, Row(row.where, texts).word(name), YES_NO, "yes", "", kept))
    return replace(prompt, questions=questions, unknown_parents=unknown)


def _parents(row: Row, name: str, named: object) -> Iterable[str]:
    """The questions that one hangs on; 0 is none.

    Raises:
        ValueError: they are no list of numbers.
    """
    parents = [str(parent) for parent in named] if isinstance(named, list) else [""]
    if not all(parent.isdecimal() for parent in parents):
        raise row.error(f"{DEPENDS} of question {name} is {named!r}, expected a list of numbers of questions")
    return dict.fromkeys(parent for parent in parents if parent != "0")
