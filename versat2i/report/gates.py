"""What the page says about the mixture: how much of each expert its layers use."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from versat2i.compare.statistics import MIXTURE
from versat2i.formats import metrics
from versat2i.report import charts, inputs
from versat2i.report.aspects import LOSSES
from versat2i.settings.params import Gates as Training
from versat2i.settings.params import Params
from versat2i.work import places


@dataclass(frozen=True)
class Gates:
    """The mixture's section.

    Attributes:
        training: how the gates were trained.
        summary: ``metrics/mix/mixture.json``.
        layers: how many layers are mixed.
        revision: of the base model that the mixture was made for; None where it does not say.
    """

    training: Training
    summary: dict[str, Any]
    layers: int
    heat_map: Markup
    losses: Markup
    revision: str | None


def read(settings: Params) -> Gates | None:
    """The mixture's section, None where there is no mixture."""
    training = settings.mix.get(MIXTURE)
    if not isinstance(training, Training):
        return None
    saved = places.adapter(MIXTURE) / places.RECIPE
    recipe = metrics.read_json(saved)
    table = layers(recipe, saved)
    losses = metrics.read_csv(places.plot("mix", MIXTURE), LOSSES)
    path = places.metrics("mix", MIXTURE)
    summary = inputs.read(path, inputs.Mixing)
    if set(summary["gate"]) != set(table.columns):
        raise ValueError(
            f"{path}: has the gates of {', '.join(summary['gate'])}, {places.RECIPE} those of "
            f"{', '.join(map(str, table.columns))}. Run `dvc repro mix@{MIXTURE}`"
        )
    return Gates(
        training,
        summary,
        len(table),
        charts.gates(table),
        charts.losses(MIXTURE, losses),
        revision(recipe),
    )


def layers(recipe: dict[str, Any], path: Path) -> pd.DataFrame:
    """Mean gates of a saved mixture, ``[layers, experts]``, layers in their order in the denoiser.

    Args:
        recipe: ``mixture.json``.
        path: where it was read, for the error.

    Raises:
        ValueError: a layer lacks an expert.
    """
    try:
        names = [expert["name"] for expert in recipe["experts"]]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("the name of an expert is a text")
        table = pd.DataFrame.from_dict(recipe["mean_gates"], orient="index", columns=names, dtype=float)
    except (KeyError, TypeError, ValueError, AttributeError):
        table = pd.DataFrame()
    if table.empty or table.isna().to_numpy().any():
        raise ValueError(f"{path}: expected the gate of each expert in each layer. Run `dvc repro mix@{MIXTURE}`")
    return table.loc[sorted(table.index, key=_natural)]


def revision(recipe: dict[str, Any]) -> str | None:
    """That of the base model of a saved mixture."""
    metadata = recipe.get("metadata")
    return str(metadata["revision"]) if isinstance(metadata, dict) and "revision" in metadata else None


def _natural(name: str) -> list[tuple[int, str]]:
    """So that block 10 comes after block 9."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"\.", name)]
