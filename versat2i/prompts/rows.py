"""A row of a file, and what may stand in its columns."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from versat2i.prompts.records import normalise, readable

_COLUMNS_OF_TEXT = ("text", "prompt", "caption", "prompts", "captions")
COLUMNS = {
    *_COLUMNS_OF_TEXT,
    *("category", "id", "question", "answer", "choices", "element_type", "question_id", "parent_ids"),
    *("item_id", "proposition_id", "dependency", "question_natural_language", "category_broad", "category_detailed"),
    *("tag", "include", "vqa_list", "skills", "short_description", "long_description", "prompt_en", "prompt_cn"),
    *("yn_question_list", "yn_answer_list"),
}
"""Those that mean something; any other may hold what it will."""

Counts = Counter[str]
"""Counts of changes made to a file's prompts; only changes that were made have an entry.

`comments`: lines that were left out; `stripped`: prompts that lost another tool's syntax; `unnamed`: things of GenEval
that the prompt calls otherwise; `unasked`: questions without choices, left out; `refused`: prompts left out for a word
or by a classifier.
"""


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        where: the file and the place in it, the start of every error: ``prompts.csv: line 3``.
        values: by the name of the column, in lower case.
        is_line: whether it is a line of a text file.
    """

    where: str
    values: dict[str, Any]
    is_line: bool = False

    def error(self, problem: str) -> ValueError:
        return ValueError(f"{self.where}: {problem}")

    def text(self, column: str) -> str:
        """A text as it stands there.

        Raises:
            ValueError: not a prompt: empty, too long or with control characters.
        """
        value = self.values.get(column)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{column} is {value!r}, expected a text")
        try:
            normalise(value)
        except ValueError as error:
            raise self.error(f"{column} is {error}") from None
        return value

    def word(self, column: str) -> str:
        """A text or a whole number, as a text with white space normalised.

        Raises:
            ValueError: it is neither.
        """
        value = self.values.get(column)
        if isinstance(value, float) and value.is_integer():  # a column of numbers in which some are missing
            return str(int(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return normalise(self.text(column))

    def holds(self, column: str) -> bool:
        """Whether there is something: no blanks, and no NaN, which pandas writes for nothing."""
        value = self.values.get(column)
        return value is not None and value == value and str(value).strip() != ""

    def optional(self, column: str) -> str:
        """Return the cell as `word` does; empty where there is nothing."""
        return self.word(column) if self.holds(column) else ""

    def label(self, column: str) -> str:
        """Read a cell as a label that groups prompts; any content is accepted.

        A list is its parts with commas between; what cannot be shown is empty.
        """
        value = self.values.get(column)
        if isinstance(value, list | tuple):
            return ", ".join(filter(None, (Row(self.where, {column: each}).label(column) for each in value)))
        if not self.holds(column) or isinstance(value, dict):
            return ""
        return readable(f"{value:g}" if isinstance(value, float) else str(value))

    def words(self, column: str) -> list[str]:
        """A list of texts or whole numbers; a cell of a csv or tsv file holds it as JSON; nothing is no words.

        Raises:
            ValueError: it is no list, or one of something else.
        """
        value = self.values.get(column)
        if isinstance(value, str) and value.strip():
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise self.error(f'{column} is {value!r}, expected a list such as ["yes", "no"]') from None
        if not self.holds(column):
            return []
        if not isinstance(value, list):
            raise self.error(f"{column} is {value!r}, expected a list of texts")
        return [Row(self.where, {column: each}).word(column) for each in value]


def text_column(columns: set[str]) -> str | None:
    """The column that holds the prompts, None if there is none."""
    return next((name for name in _COLUMNS_OF_TEXT if name in columns), None)
