"""An evaluator that does not load, or does not tell a sharp picture from noise, is found before a run."""

import drawn
import numpy as np
import pytest
from tried import found, settings

from versat2i.rewards import low_level
from versat2i.settings.compute import CPU
from versat2i.tools import check, trial


class Constant:
    """Likes everything."""

    name, metric, higher_is_better, range, licence = "constant", "constant", True, (0.0, 1.0), "none"
    value = staticmethod(lambda image: 0.5)

    def score(self, images, prompts):
        return [self.value(image) for image in images]


class Roughness(Constant):
    """Likes noise."""

    value = staticmethod(lambda image: np.abs(np.diff(image.astype(float), axis=0)).mean() / 255)


class Smoothness(Roughness):
    higher_is_better = False


class Broken(Constant):
    def __init__(self):
        raise ImportError("No module named 'pkg_resources'")


@pytest.mark.parametrize(
    ("evaluator", "advice"),
    [
        (Constant, "chosen does not tell a sharp picture from noise"),
        (Roughness, "chosen does not tell a sharp picture from noise"),
        (Broken, "ImportError: No module named 'pkg_resources'"),
        (Smoothness, None),
    ],
)
def test_an_evaluator_has_to_load_and_to_tell_sharp_from_noisy(monkeypatch, evaluator, advice):
    monkeypatch.setitem(low_level.EVALUATORS, "chosen", f"{__name__}:{evaluator.__name__}")
    whole = settings("nowhere", evaluator="chosen")
    finding = found(whole)["low_level"]
    assert finding.advice is None if advice is None else advice in finding.advice


def test_an_evaluator_that_abstains_on_the_photograph_is_tried_on_the_drawing():
    finding = check._tells_apart("judge", "judges", drawn.params.Reward(evaluator="second_reader"), CPU)
    assert finding.advice is None and repr(trial.PROMPT) in finding.found
