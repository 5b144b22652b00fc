"""The page's section on one aspect: picks, rejected candidates, training loss of its expert."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from versat2i.formats import metrics, records, shards, tables
from versat2i.formats.measures import Measure
from versat2i.report import charts, inputs, thumbnails
from versat2i.select import chosen
from versat2i.settings.params import Params, Select
from versat2i.settings.training import TrainLora
from versat2i.work import places

EXAMPLES = 12  # picks shown, as many as `select` keeps rejected ones
LOSSES = tables.SCHEMAS["losses"].names


@dataclass(frozen=True)
class Example:
    """A candidate shown for an aspect: its picture's path from the page, its text, its score and size."""

    picture: str
    text: str
    score: float
    width: int
    height: int


@dataclass(frozen=True)
class Aspect:
    """One aspect's section.

    Attributes:
        rule: how candidates were picked.
        training: how the expert was trained.
        summary: ``metrics/select/<aspect>.json``.
    """

    measure: Measure
    rule: Select
    training: TrainLora
    summary: inputs.Selection
    histogram: Markup
    losses: Markup
    picked: list[Example]
    rejected: list[Example]


def read(measure: Measure, settings: Params, texts: dict[str, str], out: Path) -> Aspect:
    """Read an aspect's section and write the thumbnails of its examples.

    Args:
        measure: what the aspect's scores are.
        settings: all params.
        texts: prompt_id -> text of the train prompts.
        out: the report's folder.
    """
    aspect = str(measure.aspect)
    folder, summary = places.selected(aspect), records.read(places.metrics("select", aspect), inputs.Selection)
    scores = tables.judged(tables.read("scores", places.scores(aspect), without=["details"]))
    picks = tables.read("picks", folder / chosen.PICKS)
    losses = metrics.read_csv(places.plot("train_lora", aspect), LOSSES)
    return Aspect(
        measure,
        settings.select[aspect],
        settings.train_lora[aspect],
        summary,
        charts.histogram(aspect, scores["score"].to_numpy(float), picks["score"].to_numpy(float), summary.threshold),
        charts.losses(aspect, losses),
        _examples(folder / chosen.IMAGES, fair_sample(picks), texts, out, f"picked/{aspect}"),
        _rejected(folder / chosen.REJECTED, scores, texts, out, f"rejected/{aspect}"),
    )


def fair_sample(picks: pd.DataFrame) -> pd.DataFrame:
    """A pick of each of the first prompts: a prompt's id is a hash, and k says nothing of the score."""
    return picks.sort_values(["prompt_id", "k"]).drop_duplicates("prompt_id").head(EXAMPLES)


def _rejected(folder: Path, scores: pd.DataFrame, texts: dict[str, str], out: Path, place: str) -> list[Example]:
    """List the rejected candidates that `select` kept, worst first; none where every candidate was picked."""
    if not any(folder.glob("*.tar")):
        return []
    kept = {key for path in shards.paths(folder) for key in _index(path)}
    keys = pd.MultiIndex.from_frame(scores[["prompt_id", "k"]])
    shown = scores[keys.isin(kept)].sort_values(["merit", "prompt_id", "k"])
    return _examples(folder, shown, texts, out, place)


def _index(path: Path) -> list[tuple[str, int]]:
    index = tables.read("index", path.with_suffix(".parquet"))
    return list(zip(index["prompt_id"], index["k"], strict=True))


def _examples(folder: Path, shown: pd.DataFrame, texts: dict[str, str], out: Path, place: str) -> list[Example]:
    """Write the thumbnails of the candidates shown, numbered in their order."""
    numbers = {key: number for number, key in enumerate(zip(shown["prompt_id"], shown["k"], strict=True))}
    found: dict[int, Example] = {}
    for candidate in shards.read_all(folder, set(numbers)):
        number = numbers[candidate.prompt_id, candidate.k]
        picture = f"images/{place}/{number}{thumbnails.ENDING}"
        thumbnails.write(candidate.image, out / picture)
        size = thumbnails.size(*candidate.image.shape[:2])
        text = texts.get(candidate.prompt_id, candidate.prompt_id)
        found[number] = Example(picture, text, float(shown["score"].iloc[number]), *size)
    return [found[number] for number in sorted(found)]
