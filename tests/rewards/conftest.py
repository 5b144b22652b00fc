"""Drawn scenes with the flaws that a test asks for."""

import random

import numpy as np
import pandas as pd
import pytest

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
        return [reward.score(draw(**{flaw: amount}, **others), prompts, None).values.mean() for amount in amounts]

    return measured
