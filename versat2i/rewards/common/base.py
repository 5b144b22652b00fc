"""The contract of every evaluator: images in, one score an image out, or a reason why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import PIL.Image
from numpy.typing import NDArray

from versat2i.formats.measures import OWN_LICENCE as OWN_LICENCE

Image = NDArray[np.uint8]  # [height, width, 3], RGB
Images = NDArray[np.uint8]  # [batch, height, width, 3], RGB

BLANK = "the image is blank"
FLAGGED = "flagged by the model's safety checker"


@dataclass(frozen=True)
class Scores:
    """What an evaluator says about a batch of images.

    Attributes:
        values: the scores, ``float64 [batch]``; NaN where the evaluator abstained.
        reasons: why it abstained, None where it did not.
        details: what the score was made from, fit for JSON, or None.
    """

    values: NDArray[np.float64]
    reasons: list[str | None]
    details: list[dict | None]


class Reward(Protocol):
    """An evaluator of one aspect.

    It, and what it holds as attributes, may have an ``identity``: a text that tells its weights from any
    others, where params do not (a folder's bytes may change).

    Attributes:
        name: the evaluator, as in params.yaml.
        metric: what it measures, the column of ``metrics/evaluate.json``.
        higher_is_better: whether a high score is a good one.
        range: the lowest and the highest score there can be.
        licence: of the evaluator and of the weights it loads.
    """

    name: str
    metric: str
    higher_is_better: bool
    range: tuple[float, float]
    licence: str

    def score(self, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
        """Score a batch.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
            prompts: one row an image, in the same order, with ``prompt_id`` and ``text``.
            questions: the questions table, for evaluators that ask; others ignore it.
        """
        ...


def expect_images(images: Images) -> None:
    """Raise a ValueError unless these are images ``uint8 [batch, height, width, 3]``."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"expected images uint8 [batch, height, width, 3], got {images.dtype} {list(images.shape)}")


def pictures(images: Images) -> list[PIL.Image.Image]:
    """Images as PIL has them, which every processor takes."""
    return [PIL.Image.fromarray(image) for image in images]


def is_blank(image: Image) -> bool:
    """Whether every pixel is the same."""
    return bool((image == image[0, 0]).all())


def from_verdicts(verdicts: Sequence[float | str]) -> Scores:
    """Scores from a number an image, or the reason to abstain."""
    return Scores(
        values=np.array([np.nan if isinstance(v, str) else v for v in verdicts], np.float64),
        reasons=[v if isinstance(v, str) else None for v in verdicts],
        details=[None] * len(verdicts),
    )


def score_each(images: Images, judge: Callable[[Image], float | str]) -> Scores:
    """Score images one by one.

    Args:
        images: ``uint8 [batch, height, width, 3]``.
        judge: the score of one image ``[height, width, 3]``, or the reason to abstain.
    """
    expect_images(images)
    return from_verdicts([BLANK if is_blank(image) else judge(image) for image in images])


def score_batches(images: Images, size: int, judge: Callable[[NDArray[np.intp]], NDArray[np.float64]]) -> Scores:
    """Score the images that are not blank, some at a time.

    Args:
        images: ``uint8 [batch, height, width, 3]``.
        size: how many at a time.
        judge: from positions in `images` to a score each, ``int [places] -> float64 [places]``.
    """
    expect_images(images)
    blank = np.array([is_blank(image) for image in images], bool)
    values = np.full(len(images), np.nan)
    places = np.flatnonzero(~blank)
    for start in range(0, len(places), size):
        batch = places[start : start + size]
        values[batch] = judge(batch)
    return Scores(values, [BLANK if empty else None for empty in blank], [None] * len(images))


def judged(reward: Reward, images: Images, prompts: pd.DataFrame, questions: pd.DataFrame | None) -> Scores:
    """What an evaluator, which may be anybody's, says about a batch, once `check` has found nothing wrong with it.

    Raises:
        ValueError: as `check`, or of the evaluator itself.
        RuntimeError: another error of the evaluator, with its name; also where it would end the process.
    """
    try:
        given = reward.score(images, prompts, questions)
    except (ValueError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"{reward.name}: {type(error).__name__}: {error}") from error
    return check(reward, given, prompts)


def _shaped(reward: Reward, given: object) -> Scores:
    """What an evaluator gave as the scores that it should be; torch's numbers as numpy's."""
    expected = "expected Scores(values, reasons, details), which `score_each` makes"
    if not isinstance(given, Scores):
        raise ValueError(f"{reward.name}: its score() gave {type(given).__name__}; {expected}")
    try:
        values = np.asarray(given.values, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{reward.name}: its scores are no numbers ({error}); {expected}") from None
    if values.ndim != 1:
        raise ValueError(f"{reward.name}: its scores have the shape {list(values.shape)}; expected [{values.size}]")
    for name, kind in (("reasons", str), ("details", dict)):
        parts = getattr(given, name)
        if not isinstance(parts, list) or not all(part is None or isinstance(part, kind) for part in parts):
            raise ValueError(
                f"{reward.name}: its {name} are {parts!r:.100}; expected a list of {kind.__name__} or None"
            )
    return given if values is given.values else Scores(values, given.reasons, given.details)


def check(reward: Reward, given: object, prompts: pd.DataFrame) -> Scores:
    """The scores, once each is a finite number or NaN with a reason.

    Args:
        reward: who scored.
        given: what it returned for the batch.
        prompts: one row an image with ``prompt_id`` and ``text``, and ``k`` where there is one.

    Raises:
        ValueError: it is of another shape, or a score is missing, or neither a number nor explained; the image is
            named.
    """
    scores = _shaped(reward, given)
    lengths = {len(scores.values), len(scores.reasons), len(scores.details), len(prompts)}
    if len(lengths) > 1:
        raise ValueError(
            f"{reward.name}: {len(scores.values)} scores, {len(scores.reasons)} reasons and "
            f"{len(scores.details)} details for {len(prompts)} images; expected one of each an image"
        )
    for value, reason, row in zip(scores.values, scores.reasons, prompts.to_dict("records"), strict=True):
        if np.isfinite(value) == (reason is None) and not np.isinf(value):
            continue
        image = f"image {row['k']} of prompt" if "k" in row else "the image of prompt"
        gave = f"{value} without a reason" if reason is None else f"{value} and the reason {reason!r} to abstain"
        raise ValueError(
            f"{reward.name}: {image} {row['prompt_id']} ({row['text']!r}) got {gave}; "
            "expected a finite number, or NaN with a reason"
        )
    return scores
