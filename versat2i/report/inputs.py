"""What the metrics that the page shows must hold: a file that holds less is named before anything is drawn."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from versat2i.formats import metrics
from versat2i.settings import complaints

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class Cell(_Part):
    """A variant in one metric; a number that cannot be computed is left out."""

    abstained: Count
    mean: Number | None = None
    gain: Number | None = None
    low: Number | None = None
    high: Number | None = None
    win_rate: Number | None = None
    more_abstentions: bool = False


class Together(_Part):
    """A variant over all metrics, or the gain of one over another."""

    score: Number | None = None
    gain: Number | None = None
    low: Number | None = None
    high: Number | None = None


class Evaluation(_Part):
    """``metrics/evaluate.json``: beside the summary a cell for each variant and metric."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, dict[str, Cell]] = Field(init=False)
    summary: dict[str, Together]


class Groups(RootModel[dict[str, Evaluation]]):
    """``metrics/groups.json``."""


class Selection(_Part):
    """``metrics/select/<aspect>.json``."""

    candidates: Count
    abstained: Count
    prompts: Count
    prompts_without_pick: Count
    picks: Count
    threshold: Number | None = None
    pool_mean: Number | None = None
    picks_mean: Number | None = None


class Mixing(_Part):
    """``metrics/mix/mixture.json``."""

    gate: dict[str, Number]
    entropy: Number
    distance: Number
    scale: Number
    temperature: Number


def read(path: Path, shape: type[BaseModel]) -> dict[str, Any]:
    """A JSON file that holds what `shape` says.

    Raises:
        ValueError: it does not; the place in it is named.
    """
    return expect(metrics.read_json(path), str(path), shape)


def expect(content: dict[str, Any], name: str, shape: type[BaseModel]) -> dict[str, Any]:
    """The content of a file, once it is what `shape` says.

    Raises:
        ValueError: it is not; the place in it is named.
    """
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{complaints.place(first)}: {complaints.lowered(first['msg'])}"
        raise ValueError(f"{name}: {what}. Run `dvc repro`") from None
    return content
