"""The recipe of a saved mixture, ``mixture.json``: gate scope, experts, metadata and mean gates, without weights."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from versat2i.formats import records
from versat2i.work.places import RECIPE

Scope = Literal["token", "image", "layer", "time", "prompt"]


class Expert(BaseModel):
    """An expert of a saved mixture; its weights lie in ``expert.safetensors``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    metadata: dict[str, str]


class Recipe(BaseModel):
    """What a saved mixture consists of.

    Attributes:
        scope: what the gates look at.
        experts: in the order of the gates' outputs.
        metadata: base model and revision.
        mean_gates: of each layer over the images it was trained on, ``[experts]``; None: not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    experts: list[Expert]
    metadata: dict[str, str]
    mean_gates: dict[str, list[float]] | None = None


def read(folder: Path) -> Recipe:
    """The recipe of a mixture.

    Raises:
        ValueError: the file is missing or damaged, or the mean gates of a layer are no share of each expert.
    """
    path, remedy = folder / RECIPE, "Delete it and run `dvc repro mix`"
    found = records.read(path, Recipe, remedy)
    for module, mean in (found.mean_gates or {}).items():
        if len(mean) != len(found.experts) or not all(0 <= value <= 1 for value in mean):
            raise ValueError(
                f"{path}: mean_gates.{module} is {mean}, expected are {len(found.experts)} numbers from 0 to 1. "
                f"{remedy}"
            )
    return found
