"""Turn pydantic's complaint into one line: where, what was found, what was expected."""

from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

SHOWN = 200  # characters of a wrong value or of its place


def line(error: Any, model: type[BaseModel]) -> str:
    """One line for one of pydantic's errors.

    Args:
        error: one of `pydantic.ValidationError.errors`.
        model: what the content should have been; a name that it does not know gets a hint from those that it knows.
    """
    where = place(error)
    if error["type"] == "extra_forbidden":
        return f"{where} is not a parameter" + hint(str(error["loc"][-1]), sorted(_names(model)))
    if error["type"] == "missing":
        return f"{where} is missing"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{where}: {message}" if where else message
    return f"{where} is {_cut(repr(error['input']))}: {lowered(message)}"


def place(error: Any) -> str:
    """Where one of pydantic's errors lies, e.g. ``select.geometry.margin``: one line, whatever names are given."""
    return _cut(" ".join(".".join(str(part) for part in error["loc"]).split()))


def lowered(message: str) -> str:
    """A message as the rest of a line."""
    return f"{message[0].lower()}{message[1:]}"


def hint(name: str, known: list[str] | tuple[str, ...]) -> str:
    """`` Did you mean 'x'?``, or nothing if no known name is close."""
    close = get_close_matches(name, known, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""


def _names(annotation: Any) -> set[str]:
    """Every parameter name below a model or an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return set(fields).union(*(_names(field.annotation) for field in fields.values()))
    return set().union(*(_names(argument) for argument in get_args(annotation)))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
