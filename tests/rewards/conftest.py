"""Drawn scenes with the flaws that a test asks for."""

import random

import numpy as np
import pandas as pd
import pytest
import tiny_vision
from direct import TEXTS
from scored import scored

from versat2i.shapes.world import drawing, grammar
from versat2i.shapes.world.questions import questions as ask

SCENES = 12


def _descriptions():
    return [grammar.sample(random.Random(index)) for index in range(SCENES)]


@pytest.fixture(scope="session")
def draw():
    """``draw(**flaws)``: the same scenes with these flaws, ``uint8 [SCENES, 64, 64, 3]``."""

    def drawn(**flaws):
        scenes = enumerate(_descriptions())
        return np.stack([drawing.draw(d, random.Random(i), drawing.Flaws(**flaws)) for i, d in scenes])

    return drawn


@pytest.fixture(scope="session")
def prompts():
    rows = enumerate(_descriptions())
    return pd.DataFrame([{"prompt_id": f"p{i}", "text": grammar.phrase(d, random.Random(i))} for i, d in rows])


@pytest.fixture(scope="session")
def questions():
    return pd.DataFrame([row for i, d in enumerate(_descriptions()) for row in ask(f"p{i}", d)])


@pytest.fixture(scope="session")
def mean_scores(draw, prompts):
    """``mean_scores(reward, name, amounts, **others)``: the mean score at each amount of a flaw."""

    def measured(reward, flaw, amounts, **others):
        return [scored(reward, draw(**{flaw: amount}, **others), prompts).values.mean() for amount in amounts]

    return measured


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """``folders(name)``: a random model of that kind."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def folder(name):
        if name not in made:
            made[name] = getattr(tiny_vision, name)(root / name)
        return made[name]

    return folder


@pytest.fixture(scope="module")
def noises():
    """Noise of five colours; the fourth is blank."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (5, 20, 20, 3))
    noise = (noise * rng.uniform(0.2, 1.0, (5, 1, 1, 3))).astype(np.uint8)
    noise[3] = 7
    return noise


@pytest.fixture(scope="module")
def captions():
    return pd.DataFrame({"prompt_id": [f"p{i}" for i in range(5)], "text": TEXTS})
