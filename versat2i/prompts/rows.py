"""A row of a file, and what may stand in its columns."""

import json
from dataclasses import dataclass
from typing import Any

from versat2i.prompts.records import normalise

_COLUMNS_OF_TEXT = ("text", "prompt", "caption")


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        where: the file and the place in it, the start of every error: ``prompts.csv: line 3``.
        values: by the name of the column, in lower case.
    """

    where: str
    values: dict[str, Any]

    def error(self, problem: str) -> ValueError:
        return ValueError(f"{self.where}: {problem}")

    def text(self, column: str) -> str:
        """A text as it stands there.

        Raises:
            ValueError: it is none, or empty, too long or with control characters.
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
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return normalise(self.text(column))

    def optional(self, column: str) -> str:
        """As `word`; empty where there is nothing."""
        return "" if self.values.get(column) in (None, "") else self.word(column)

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
        if value in (None, ""):
            return []
        if not isinstance(value, list):
            raise self.error(f"{column} is {value!r}, expected a list of texts")
        return [Row(self.where, {column: each}).word(column) for each in value]


def text_column(columns: set[str]) -> str | None:
    """The column that holds the prompts, None if there is none."""
    return next((name for name in _COLUMNS_OF_TEXT if name in columns), None)
