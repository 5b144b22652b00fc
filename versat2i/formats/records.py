"""JSON files as records: checked against a model when they are read, the place of what is wrong named."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from versat2i.formats import metrics
from versat2i.settings import complaints

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """Part of a file of metrics, which may hold more than it names."""

    model_config = ConfigDict(strict=True)


Record = TypeVar("Record", bound=BaseModel)


def read(path: Path, shape: type[Record], remedy: str = "Run `dvc repro`") -> Record:
    """A JSON file as a record.

    Args:
        path: the file.
        shape: what it must hold.
        remedy: what to do where it does not.

    Raises:
        ValueError: the file is missing or damaged, or does not hold it; the place in it is named.
    """
    return expect(metrics.read_json(path), str(path), shape, remedy)


def expect(content: dict[str, Any], name: str, shape: type[Record], remedy: str = "Run `dvc repro`") -> Record:
    """The content of a file as a record.

    Raises:
        ValueError: it does not hold what `shape` says; the place in it is named.
    """
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place, what = complaints.place(first), complaints.lowered(first["msg"])
        raise ValueError(f"{name}: {f'{place}: ' if place else ''}{what}. {remedy}") from None
