"""Data of the image browser: every evaluation image with its scores and answers, in compact form.

The page reads it as a script beside it, since browsers let no page that was opened from a disk read
another file. A picture is named by the number of its item, which is its place in the list.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from versat2i.compare.statistics import BASE, Scores
from versat2i.formats import shards
from versat2i.formats.measures import Measure
from versat2i.formats.tables import judged
from versat2i.report import thumbnails

IMAGES, SCRIPT = "images", "prompts.js"
DIGITS = 5  # of a score; enough to sort by
MOST_PICTURES = 10_000  # of all variants; a browser shows them in half a second, and their data are a few megabytes

Key = tuple[str, int]  # prompt_id, k


@dataclass(frozen=True)
class Browser:
    """The browser's data.

    Attributes:
        items: (prompt_id, k) -> number of the item; in the order of the prompts, then of k.
        content: fit for JSON, see `describe`.
        images: how many images of a variant there are; more than items where not all are shown.
    """

    items: dict[Key, int]
    content: dict[str, Any]
    images: int


def describe(
    scores: Scores, prompts: pd.DataFrame, measures: Sequence[Measure], units: Mapping[str, float], headline: str
) -> Browser:
    """Everything the browser shows but the pictures.

    With more than `MOST_PICTURES` it shows the headline's best and worst changes and a fair sample of the rest.

    Args:
        scores: variant -> metric -> frame, as `statistics.compare` takes it.
        prompts: the prompts table of the evaluation.
        measures: those to show.
        units: metric -> the gain that counts as one where metrics are averaged, 0: none does.
        headline: the variant to start with.

    Returns:
        The items, and ``variants``, ``headline``, ``metrics`` (``name, unit, selects``, and ``lower`` where
        lower is better), ``prompts`` (``id, text, category, source, questions``, the last as pairs of
        question and right answer) and ``items`` (prompt's number, k, scores ``[variants][metrics]``: a number in
        the metric's own unit, or the reason why there is none, answers ``[variants][questions]``: 0 if right,
        else the answer or null for "cannot tell"; null instead of a variant's answers where none was asked).

    Raises:
        ValueError: a prompt is not in the table, or a variant lacks an image.
    """
    place = {prompt_id: number for number, prompt_id in enumerate(prompts["prompt_id"])}
    keys = _keys(scores, place)
    images, most = len(keys), max(1, MOST_PICTURES // len(scores))
    if images > most:
        keys = chosen(keys, gains(scores, measures, units, headline), most)
        scores = _only(scores, keys)
        prompts = prompts[prompts["prompt_id"].isin({prompt_id for prompt_id, _ in keys})]
        place = {prompt_id: number for number, prompt_id in enumerate(prompts["prompt_id"])}
    items = {key: number for number, key in enumerate(keys)}
    values = {
        variant: [_values(frames[measure.metric], variant, items) for measure in measures]
        for variant, frames in scores.items()
    }
    asked = {variant: _answers(frames, variant) for variant, frames in scores.items()}
    questions = _questions(asked)
    rows = []
    for key in items:
        answers = [_marks(asked[variant].get(key), questions.get(key[0], {})) for variant in scores]
        rows.append([place[key[0]], key[1], [[value[key] for value in values[v]] for v in scores], answers])
    texts = prompts[["prompt_id", "text", "category", "source"]].to_numpy().tolist()
    content = {
        "variants": list(scores),
        "headline": headline,
        "metrics": [_metric(measure, units[measure.metric]) for measure in measures],
        "prompts": [[*row, list(questions.get(row[0], {}).values())] for row in texts],
        "items": rows,
    }
    return Browser(items, content, images)


def gains(scores: Scores, measures: Sequence[Measure], units: Mapping[str, float], variant: str) -> dict[Key, float]:
    """The gain over base of each image: mean over the aspects that both have, in `units`, as in ``order.js``."""
    names = [each.metric for each in measures if each.aspect is not None and units[each.metric] > 0]
    merits = [
        [judged(scores[each][name]).set_index(["prompt_id", "k"])["merit"] for each in (variant, BASE)]
        for name in names
    ]
    parts = [(mine - base) / units[name] for name, (mine, base) in zip(names, merits, strict=True)]
    if not parts:
        return {}
    known = pd.concat(parts, axis=1).mean(axis=1).dropna().rename("gain").reset_index()
    return {(p, int(k)): gain for p, k, gain in zip(known["prompt_id"], known["k"], known["gain"], strict=True)}


def chosen(keys: Sequence[Key], gain: Mapping[Key, float], most: int) -> list[Key]:
    """A third the largest gains, a third the smallest, the rest at equal distances in the order of what is left.

    Args:
        keys: all images.
        gain: of those that have one.
        most: how many to choose, fewer than there are.

    Returns:
        the chosen ones, in their order.
    """
    ranked = sorted((key for key in keys if key in gain), key=lambda key: gain[key])
    ends = min(most // 3, len(ranked) // 2)
    extreme = {*ranked[:ends], *ranked[len(ranked) - ends :]}
    left = [key for key in keys if key not in extreme]
    places = np.linspace(0, len(left) - 1, most - len(extreme)).round().astype(int)
    shown = extreme | {left[place] for place in places}
    return [key for key in keys if key in shown]


def _only(scores: Scores, keys: Sequence[Key]) -> Scores:
    """The scores of some images."""
    wanted = pd.MultiIndex.from_tuples(keys)
    return {
        variant: {
            metric: frame[pd.MultiIndex.from_frame(frame[["prompt_id", "k"]]).isin(wanted)]
            for metric, frame in frames.items()
        }
        for variant, frames in scores.items()
    }


def _metric(measure: Measure, unit: float) -> dict[str, Any]:
    direction = {} if measure.higher_is_better else {"lower": True}
    return {"name": measure.metric, "unit": unit, "selects": measure.aspect is not None} | direction


def _keys(scores: Scores, place: Mapping[str, int]) -> list[Key]:
    keys = {
        key for frame in scores[BASE].values() for key in zip(frame["prompt_id"], frame["k"].astype(int), strict=True)
    }
    if strangers := sorted(prompt_id for prompt_id, _ in keys if prompt_id not in place):
        raise ValueError(
            f"evaluate@{BASE}: prompt {strangers[0]} is not in the prompt table. The images are of other prompts: "
            "run `dvc repro evaluate`"
        )
    return sorted(keys, key=lambda key: (place[key[0]], key[1]))


def _values(frame: pd.DataFrame, variant: str, items: Mapping[Key, int]) -> dict[Key, float | str]:
    """The score of each image, or the reason why it has none."""
    rows = zip(frame["prompt_id"], frame["k"], frame["score"], frame["abstained"], strict=True)
    found = {
        (prompt_id, int(k)): reason if isinstance(reason, str) else float(f"{score:.{DIGITS}g}")
        for prompt_id, k, score, reason in rows
    }
    if missing := sorted(items.keys() - found.keys()):
        raise ValueError(
            f"evaluate@{variant}: image {missing[0][1]} of prompt {missing[0][0]} has no score. "
            f"Run `dvc repro evaluate@{variant}`"
        )
    return found


class Answer(BaseModel):
    """A question about an image and what was answered, None for "cannot tell"."""

    model_config = ConfigDict(strict=True)
    question_id: str
    question: str
    expected: str
    answer: str | None
    correct: bool


class Details(BaseModel):
    """Details of a score that was made from answers."""

    model_config = ConfigDict(strict=True)
    answers: list[Answer] = []


def _answers(frames: Mapping[str, pd.DataFrame], variant: str) -> dict[Key, list[Answer]]:
    """The questions and answers about each image, of the first metric that asks any."""
    for metric, frame in frames.items():
        found: dict[Key, list[Answer]] = {}
        details = frame[frame["details"].notna()]
        for prompt_id, k, text in zip(details["prompt_id"], details["k"], details["details"], strict=True):
            try:
                answers = Details.model_validate_json(text).answers
            except ValidationError as error:
                raise ValueError(
                    f"evaluate@{variant}: scores.parquet: details of {metric} of image {k} of prompt {prompt_id}: "
                    f"{error.errors()[0]['msg']}. Run `dvc repro evaluate@{variant}`"
                ) from None
            if answers:
                found[prompt_id, int(k)] = answers
        if found:
            return found
    return {}


def _questions(asked: Mapping[str, Mapping[Key, list[Answer]]]) -> dict[str, dict[str, list[str]]]:
    """prompt_id -> question_id -> question and right answer; every image of a prompt is asked the same."""
    found: dict[str, dict[str, list[str]]] = {}
    for answers in asked.values():
        for (prompt_id, _), rows in answers.items():
            if prompt_id not in found:
                found[prompt_id] = {row.question_id: [row.question, row.expected] for row in rows}
    return found


def _marks(rows: list[Answer] | None, questions: Mapping[str, list[str]]) -> list[Any] | None:
    """0 for each question that was answered right, else the answer or None."""
    if rows is None:
        return None
    marks = {row.question_id: 0 if row.correct else row.answer for row in rows}
    return [marks.get(question_id) for question_id in questions]


def write_script(browser: Browser, out: Path) -> None:
    """Write the data as a script: plain ASCII, so that no text in it can mean anything else."""
    data = json.dumps(browser.content, separators=(",", ":"), allow_nan=False)
    (out / SCRIPT).write_text(f"globalThis.versat2iReport={data};\n", encoding="ascii")


def write_images(browser: Browser, folders: Mapping[str, Path], out: Path) -> tuple[int, int]:
    """Write the thumbnail of every image of every variant, ``images/evaluation/<variant>/<item>.webp``.

    Args:
        browser: whose items.
        folders: variant -> folder of its shards.
        out: the report's folder.

    Returns:
        width and height of a thumbnail, pixels; of the first one where they differ.

    Raises:
        ValueError: an image is missing.
    """
    sizes: list[tuple[int, int]] = []
    for variant, folder in folders.items():
        missing = set(browser.items)
        for candidate in shards.read_all(folder, missing.copy()):
            key = candidate.prompt_id, candidate.k
            thumbnails.write(candidate.image, picture(out, variant, browser.items[key]))
            sizes.append(thumbnails.size(*candidate.image.shape[:2]))
            missing.discard(key)
        if missing:
            prompt_id, k = min(missing)
            raise ValueError(
                f"{folder}: image {k} of prompt {prompt_id} has scores but is missing. "
                f"Run `dvc repro evaluate@{variant}`"
            )
    return sizes[0]


def picture(out: Path, variant: str, item: int) -> Path:
    return out / IMAGES / "evaluation" / variant / f"{item}{thumbnails.ENDING}"
