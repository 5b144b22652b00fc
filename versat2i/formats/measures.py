"""Describe the scores of a table in its own metadata, so that a reader needs no evaluator."""

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

OWN_LICENCE = "Apache-2.0, this project"
KEY = b"versat2i.measures"  # in the metadata of a Parquet file

Score = TypeVar("Score")


class Unsaid(ValueError):
    """A table does not say what its scores measure."""


class Measure(BaseModel):
    """One column of the results.

    Attributes:
        metric: what is measured, as in ``metrics/evaluate.json``.
        evaluator: what measures it, as in params.yaml.
        licence: of the evaluator and of the weights it loads.
        higher_is_better: whether a high score is a good one.
        range: the lowest and the highest score; None: no limit.
        aspect: whose candidates it picks; None for a judge, which never selects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    metric: str
    evaluator: str
    licence: str
    higher_is_better: bool = True
    range: tuple[float | None, float | None] = (None, None)
    aspect: str | None = None

    def merit(self, score: Score) -> Score:
        """A score turned so that higher is better; of a merit, the score."""
        return score if self.higher_is_better else -score  # type: ignore[operator]


def packed(measures: Sequence[Measure]) -> dict[bytes, bytes]:
    """Measures as the metadata of a Parquet file."""
    return {KEY: json.dumps([measure.model_dump() for measure in measures], sort_keys=True, allow_nan=False).encode()}


def unpacked(metadata: dict[bytes, bytes] | None) -> list[Measure]:
    """The measures that `packed` put into the metadata of a Parquet file.

    Raises:
        Unsaid: there are none, or they are damaged.
    """
    try:
        return [Measure.model_validate(each) for each in json.loads((metadata or {})[KEY])]
    except (KeyError, TypeError, ValueError, ValidationError, RecursionError):
        raise Unsaid("does not say what its scores measure, which an earlier version left out") from None
