"""Try a model and its evaluators on one batch for each known failure, before a run is paid for."""

import random
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from skimage import data

from versat2i import rewards
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, Reward
from versat2i.shapes.world import drawing, grammar
from versat2i.tools import judge, trial
from versat2i.tools.doctor import Finding

SCENE = trial.PROMPT
SHARP = 0.2  # share of the picture in its noisy copy


def findings(settings: Params, machine: Compute) -> Iterator[Finding]:
    """Everything `versat2i check` looks at, as it is found.

    Args:
        settings: params with the model to look at.
        machine: to compute on.
    """
    yield from trial.findings(settings, machine)
    for aspect in settings.aspects:
        yield trial.safely(aspect, partial(_tells_apart, aspect, aspect, settings.rewards[aspect], machine))
    for chosen in settings.evaluate.judges:
        yield trial.safely("judge", partial(_tells_apart, "judge", "judges", chosen, machine))


def _tells_apart(label: str, aspect: str, evaluator: Reward, machine: Compute) -> Finding:
    """Whether an evaluator loads, and puts a sharp picture above its noisy copy."""
    reward, name = rewards.from_params(aspect, evaluator, machine), evaluator.evaluator
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


def _pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A photograph and a drawing of the embedded world, since an evaluator may judge one kind only."""
    yield "a photo of a cat", data.chelsea()
    yield SCENE, drawing.draw(grammar.parse(SCENE), random.Random(0))


def _noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, image.shape)
    return (SHARP * image + (1 - SHARP) * noise).astype(np.uint8)
