"""What a user with a model's weights runs first: each way in which real models are known to go wrong, on one batch."""

import random
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage import data

from versat2i import rewards
from versat2i.prompts import sources
from versat2i.prompts.records import Prompt, to_tables
from versat2i.rewards.common.base import Scores
from versat2i.settings.params import Params, Reward
from versat2i.shapes.world import drawing, grammar
from versat2i.tools import trial
from versat2i.tools.doctor import Finding

SCENE = trial.PROMPT
SHARP = 0.2  # share of the picture in its noisy copy


def findings(settings: Params, device: str) -> Iterator[Finding]:
    """Everything `versat2i check` looks at, as it is found.

    Args:
        settings: params with the model to look at.
        device: to compute on.
    """
    yield from trial.findings(settings, device)
    for aspect in settings.aspects:
        yield trial.safely(aspect, partial(_tells_apart, aspect, aspect, settings.rewards[aspect]))
    for judge in settings.evaluate.judges:
        yield trial.safely("judge", partial(_tells_apart, "judge", "judges", judge))


def _tells_apart(label: str, aspect: str, evaluator: Reward) -> Finding:
    """Whether an evaluator loads, and puts a sharp picture above its noisy copy."""
    reward, name = rewards.from_params(aspect, evaluator), evaluator.evaluator
    said = []
    for text, image in _pictures():
        scores = _scores(reward, text, np.stack([image, _noisy(image)]))
        (sharp, noisy), reasons = scores.values, scores.reasons
        if reasons[0] is not None:
            said.append(f"no score of {text!r} ({reasons[0]})")
            continue
        said.append(f"{sharp:.4g} of {text!r}, {'no score' if reasons[1] else f'{noisy:.4g}'} of its noisy copy")
        if reasons[1] is not None or (noisy < sharp if reward.higher_is_better else noisy > sharp):
            return Finding(label, f"{name}: {said[-1]}")
    advice = f"{name} does not tell a sharp picture from noise: look at its model, dtype and options in params.yaml"
    return Finding(label, f"{name}: {'; '.join(said)}", advice)


def _pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A photograph and a drawing of the embedded world, since an evaluator may judge one kind only."""
    yield "a photo of a cat", data.chelsea()
    yield SCENE, drawing.draw(grammar.parse(SCENE), random.Random(0))


def _noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, image.shape)
    return (SHARP * image + (1 - SHARP) * noise).astype(np.uint8)


def _scores(reward: rewards.Reward, text: str, images: NDArray[np.uint8]) -> Scores:
    """Of images that were to show one text, with the grammar's questions where it has some."""
    try:
        asked = sources.ask(text)
    except ValueError:
        asked = []
    prompts, questions, _ = to_tables([Prompt(text, "check", "", asked)])
    frame = pd.DataFrame({"prompt_id": prompts["prompt_id"][0], "k": range(len(images)), "text": text})
    return rewards.check(reward, reward.score(images, frame, questions), frame)
