"""The page's section on the mixture: mean gate of each expert in each layer."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from versat2i.compare.statistics import MIXTURE
from versat2i.formats import metrics, records
from versat2i.formats import recipe as recipes
from versat2i.formats.recipe import Recipe
from versat2i.report import charts, inputs
from versat2i.report.aspects import LOSSES
from versat2i.settings.params import Params
from versat2i.settings.training import Gates as Training
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
    summary: inputs.Mixing
    layers: int
    heat_map: Markup
    losses: Markup
    revision: str | None


def read(settings: Params) -> Gates | None:
    """The mixture's section, None where there is no mixture."""
    training = settings.mix.get(MIXTURE)
    if not isinstance(training, Training):
        return None
    folder = places.adapter(MIXTURE)
    recipe = recipes.read(folder)
    table = layers(recipe, folder)
    losses = metrics.read_csv(places.plot("mix", MIXTURE), LOSSES)
    path = places.metrics("mix", MIXTURE)
    summary = records.read(path, inputs.Mixing)
    if set(summary.gate) != set(table.columns):
        raise ValueError(
            f"{path}: has the gates of {', '.join(summary.gate)}, {places.RECIPE} those of "
            f"{', '.join(map(str, table.columns))}. Run `dvc repro mix@{MIXTURE}`"
        )
    return Gates(
        training,
        summary,
        len(table),
        charts.gates(table),
        charts.losses(MIXTURE, losses),
        recipe.metadata.get("revision"),
    )


def layers(recipe: Recipe, folder: Path) -> pd.DataFrame:
    """Mean gates of a saved mixture, ``[layers, experts]``, layers in their order in the denoiser.

    Raises:
        ValueError: it was saved without them.
    """
    if not recipe.mean_gates:
        raise ValueError(f"{folder / places.RECIPE}: has no mean gates to show. Run `dvc repro mix@{MIXTURE}`")
    names = [expert.name for expert in recipe.experts]
    table = pd.DataFrame.from_dict(recipe.mean_gates, orient="index", columns=names, dtype=float)
    return table.loc[sorted(table.index, key=_natural)]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key of a layer's name that puts block 10 after block 9."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"\.", name)]
