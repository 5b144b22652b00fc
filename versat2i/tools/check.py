"""Try a model and its evaluators on one batch for each known failure, before a run is paid for."""

import random
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from versat2i import rewards
from versat2i.rewards.common.served import Question
from versat2i.rewards.common.vlm import Asked, Asks, VisionLanguage
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, Reward
from versat2i.shapes.world import drawing, grammar
from versat2i.tools import judge, trial
from versat2i.tools.doctor import Finding

SCENE = trial.PROMPT
SHARP = 0.2  # share of the picture in its noisy copy
BLUR = 5.0  # standard deviation of the blurred copy's filter, pixels
LEAST_SAID = 0.01  # probability that a model's answer begins with one of the words that are read


def findings(settings: Params, machine: Compute) -> Iterator[Finding]:
    """Everything `versat2i check` looks at, as it is found.

    Args:
        settings: params with the model to look at.
        machine: to compute on.
    """
    yield from trial.findings(settings, machine)
    for aspect in settings.scored:
        yield from _tried(aspect, aspect, settings.rewards[aspect], machine)
    for chosen in settings.evaluate.judges:
        yield from _tried("judge", "judges", chosen, machine)


def _tried(label: str, aspect: str, evaluator: Reward, machine: Compute) -> Iterator[Finding]:
    """Load an evaluator once, and look at it in each way."""
    made: list[rewards.Reward] = []

    def first() -> Finding:
        made.append(rewards.from_params(aspect, evaluator, machine))
        return _tells_apart(label, evaluator.evaluator, made[0])

    yield trial.safely(label, first)
    for reward in made:
        if isinstance(reward, Asks):
            yield trial.safely("answers", partial(_answers, reward))
        if label == "judge":
            yield trial.safely("blur", partial(_judges_blur, reward))


def _tells_apart(label: str, name: str, reward: rewards.Reward) -> Finding:
    """Whether an evaluator puts a sharp picture above its noisy copy."""
    said = []
    for text, image in _pictures():
        asked = judge.prompt(text)
        sharp, noisy = rewards.judged(reward, np.stack([image, _noisy(image)]), [asked, asked])
        if isinstance(sharp, str):
            said.append(f"no score of {text!r} ({sharp})")
            continue
        told = "no score" if isinstance(noisy, str) else f"{noisy:.4g}"
        said.append(f"{sharp:.4g} of {text!r}, {told} of its noisy copy")
        if isinstance(noisy, str) or (noisy < sharp if reward.higher_is_better else noisy > sharp):
            return Finding(label, f"{name}: {said[-1]}")
    advice = f"{name} does not tell a sharp picture from noise: look at its model, dtype and options in params.yaml"
    return Finding(label, f"{name}: {'; '.join(said)}", advice)


def _answers(reward: Asks) -> Finding:
    """Whether the tokens that an evaluator reads are those with which the model's answer begins."""
    text, image = next(_pictures())
    asked, served = reward.asks(text), getattr(reward, "served", None)
    if served is None:
        share, top, advice = _said(reward.model, asked, image)  # type: ignore[attr-defined]
    else:
        (said,) = served.first_words([Question(image, asked.text, asked.stem)])
        share, top, advice = sum(said.get(word, 0.0) for word in asked.words), max(said, key=said.__getitem__), None
    if advice is None and share < LEAST_SAID:
        advice = "the model does not answer with these words: name another, or begin its answer with a `stem`"
    found = f"{reward.name}: of an answer's first token {share:.2g} is {' or '.join(asked.words)}, most is {top!r}"
    return Finding("answers", found, advice)


def _said(model: VisionLanguage, asked: Asked, image: NDArray[np.uint8]) -> tuple[float, str, str | None]:
    """The probability of the tokens that are read, the most probable token, and advice if the question is wrong."""
    said = model.next_logits(image[None], [asked.text], asked.stem)[0].softmax(-1)
    read = model.spellings(asked.words) if asked.spelled else model.first_tokens(asked.words, asked.text, asked.stem)
    top = int(said.argmax())
    spelled, advice = model.spelled(top), None
    if model.lacks_system:
        advice = "LLaVA 1.5 was trained to read 'A chat between a curious ...' first: leave `system` out of params.yaml"
    elif top not in read and spelled.strip().lower() in [word.lower() for word in asked.words]:
        advice = f"the model spells {spelled!r} with another token than the one that is read: name another model"
    return float(said[read].sum()), spelled, advice


def _judges_blur(reward: rewards.Reward) -> Finding:
    """Whether a judge also scores a blurred copy: abstaining on the worst images would raise its mean."""
    for text, image in _pictures():
        asked = judge.prompt(text)
        sharp, blurred = rewards.judged(
            reward, np.stack([image, cv2.GaussianBlur(image, (0, 0), BLUR)]), [asked, asked]
        )
        if isinstance(sharp, str):
            continue
        if isinstance(blurred, str):
            advice = "its mean over images will look better than they are: look at its options in params.yaml"
            return Finding("blur", f"{reward.name}: no score of a blurred copy of {text!r} ({blurred})", advice)
        return Finding("blur", f"{reward.name}: scores a blurred copy of {text!r} too")
    return Finding("blur", f"{reward.name}: judges neither picture")


def _pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A photograph and a drawing of the embedded world, since an evaluator may judge one kind only."""
    yield "a photo of a cat", data.chelsea()
    yield SCENE, drawing.draw(grammar.parse(SCENE), random.Random(0))


def _noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, image.shape)
    return (SHARP * image + (1 - SHARP) * noise).astype(np.uint8)
