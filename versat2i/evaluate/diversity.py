"""Diversity: distance between the images of one prompt."""

from pathlib import Path

import numpy as np
import pandas as pd

from versat2i.formats import shards
from versat2i.formats.measures import OWN_LICENCE, Measure
from versat2i.formats.shards import Candidate
from versat2i.rewards.common.base import FLAGGED

NAME = "diversity"
MEASURE = Measure(
    metric=NAME, evaluator="distance of a prompt's images from each other", licence=OWN_LICENCE, range=(0.0, 1.0)
)


def of(folder: Path) -> pd.DataFrame:
    """Measure how different the images of one prompt are; a collapsed model draws one image for all seeds.

    For each image the mean over the prompt's other images of the root mean square distance of their
    pixels, in units of the full range; a prompt with one image has none, nor has an image that was flagged.

    Returns:
        one row an image (kind `evaluation`).
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in shards.read_all(folder):
        groups.setdefault(candidate.prompt_id, []).append(candidate)
    rows: list[tuple] = []
    for prompt_id, group in groups.items():
        shown = [candidate for candidate in group if not candidate.flagged]
        for candidate, distance in zip(shown, _distances([c.image for c in shown]), strict=True):
            reason = None if np.isfinite(distance) else "the only image of its prompt"
            rows.append((NAME, prompt_id, candidate.k, distance, distance, reason, None))
        rows += [(NAME, prompt_id, c.k, np.nan, np.nan, FLAGGED, None) for c in group if c.flagged]
    return pd.DataFrame(rows, columns=["metric", "prompt_id", "k", "score", "merit", "abstained", "details"])


def _distances(images: list[np.ndarray]) -> np.ndarray:
    """Mean distance of each image to the others, ``[images]``; NaN for a single one."""
    if len(images) < 2:
        return np.full(len(images), np.nan)
    flat = np.stack(images).reshape(len(images), -1).astype(np.float64) / 255
    pairs = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(-1))
    return pairs.sum(1) / (len(images) - 1)
