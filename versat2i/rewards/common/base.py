"""The contract of every evaluator: images and their prompts in, a number or the reason to abstain for each out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from versat2i.formats.measures import OWN_LICENCE as OWN_LICENCE
from versat2i.rewards.common.isolated_worker import Explained as Explained
from versat2i.rewards.common.isolated_worker import Prompt as Prompt

Image = NDArray[np.uint8]  # [height, width, 3], RGB
Images = NDArray[np.uint8]  # [batch, height, width, 3], RGB
Verdicts = list[float | str]  # a score, or why there is none

BLANK = "the image is blank"
FLAGGED = "flagged by the model's safety checker"


class Reward(Protocol):
    """An evaluator of one aspect.

    It may say more of itself: ``grouped = True`` has all images of a prompt come together, in a call of their own;
    `weights` is a list of what it loads, each a `Weights`; `modules` names modules of this project or a plug-in that
    it runs and does not import by name.

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

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        """Score a batch.

        Args:
            images: ``uint8 [batch, height, width, 3]``, none of them of one colour only.
            prompts: one an image, in the same order.

        Returns:
            for each image a finite number (`Explained` where it has details), or the reason to abstain.
        """
        ...


class PerImage:
    """An evaluator that judges one image at a time, from 0 to 1, by a function of this project.

    Attributes:
        judge: the score of one image ``[height, width, 3]``, or the reason to abstain.
    """

    name: str
    metric: str
    higher_is_better = True
    range = (0.0, 1.0)
    licence = OWN_LICENCE
    judge: Callable[[Image], float | str]

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [type(self).judge(image) for image in images]


class Weights(Protocol):
    """Something that an evaluator loads; its text names it to whoever waits for a download.

    Attributes:
        identity: tells these weights from any others, where params do not (a folder's bytes may change).
        remote: whether `fetch` has to download it.
    """

    @property
    def identity(self) -> str: ...

    @property
    def remote(self) -> bool: ...

    def fetch(self) -> None: ...


def weights_of(reward: Reward) -> list[Weights]:
    """List what an evaluator loads."""
    return list(getattr(reward, "weights", ()))


def is_grouped(reward: Reward) -> bool:
    """Whether an evaluator is given all images of a prompt together."""
    return bool(getattr(reward, "grouped", False))


def pictures(images: Images) -> list[PIL.Image.Image]:
    """Images as PIL has them, which every processor takes."""
    return [PIL.Image.fromarray(image) for image in images]


def is_blank(image: Image) -> bool:
    """Whether every pixel is the same."""
    return bool((image == image[0, 0]).all())


def batches(size: int, images: Images, prompts: list[Prompt]) -> Iterator[tuple[Images, list[Prompt]]]:
    """Images with their prompts, `size` at a time."""
    for start in range(0, len(images), size):
        yield images[start : start + size], prompts[start : start + size]


def judged(reward: Reward, images: Images, prompts: list[Prompt], names: Sequence[str] | None = None) -> Verdicts:
    """Score a batch by an evaluator, which may be anybody's; a blank image has a reason and is not shown to it.

    Args:
        reward: the evaluator.
        images: ``uint8 [batch, height, width, 3]``.
        prompts: one an image.
        names: what errors call each image.

    Raises:
        ValueError: these are no images, or as `check`, or of the evaluator itself.
        RuntimeError: another error of the evaluator, with its name; also where it would end the process.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"expected images uint8 [batch, height, width, 3], got {images.dtype} {list(images.shape)}")
    shown = [place for place, image in enumerate(images) if not is_blank(image)]
    verdicts: Verdicts = [BLANK] * len(images)
    if not shown:
        return verdicts
    asked = [prompts[place] for place in shown]
    try:
        given = reward.score(images[shown], asked)
    except (ValueError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"{reward.name}: {type(error).__name__}: {error}") from error
    found = check(reward, given, asked, None if names is None else [names[place] for place in shown])
    for place, verdict in zip(shown, found, strict=True):
        verdicts[place] = verdict
    return verdicts


def check(reward: Reward, given: object, prompts: list[Prompt], names: Sequence[str] | None = None) -> Verdicts:
    """Check the result of an evaluator for a batch: a finite number or a reason for each image.

    Args:
        reward: who scored.
        given: what it returned.
        prompts: one an image.
        names: what errors call each image.

    Raises:
        ValueError: it is no list, or of another length, or something in it is neither; the image is named.
    """
    expected = "expected a list with a number for each image, or a text that says why there is none"
    try:
        found: list[Any] = list(given)  # type: ignore[call-overload]
    except TypeError:
        raise ValueError(f"{reward.name}: its score() gave {type(given).__name__}; {expected}") from None
    if isinstance(given, str | dict | set):
        raise ValueError(f"{reward.name}: its score() gave {type(given).__name__}; {expected}")
    if len(found) != len(prompts):
        raise ValueError(f"{reward.name}: {len(found)} scores for {len(prompts)} images; expected one each")
    called = names or [f"the image of prompt {prompt.prompt_id} ({prompt.text!r})" for prompt in prompts]
    return [_verdict(reward, each, name) for each, name in zip(found, called, strict=True)]


def _verdict(reward: Reward, given: Any, name: str) -> float | str:
    """A score as a number of Python's, or the reason to abstain."""
    if isinstance(given, str) and given.strip():
        return given
    try:
        number = given if isinstance(given, Explained) else float(given)
        if not isinstance(given, str) and np.isfinite(number):
            return number
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(
        f"{reward.name}: {name} got {given!r:.100}; expected a finite number, or a text that says why there is none"
    )
