"""What sections of params.yaml are made of: their base class, and the types of their values."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, le=1)]
Above = Annotated[float, Field(gt=0, le=1000)]


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"the first of {list(ends)} must be below the second")
    return ends


# strict mode takes tuples only, YAML has lists only
Interval = Annotated[tuple[Share, Share], Field(strict=False), AfterValidator(_ascending)]


class Section(BaseModel):
    """A section that knows its names: what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
