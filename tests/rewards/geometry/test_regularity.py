"""Bent outlines lower the score; colour, noise and a little blur do not."""

import random

import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Group
from versat2i.shapes.world.perception import perceive


@pytest.fixture(scope="module")
def reward():
    return rewards.load("geometry", "regularity")


def test_bent_outlines_lower_the_score(reward, mean_scores):
    scores = mean_scores(reward, "bend", (0.0, 0.04, 0.08, 0.12, 0.16))
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("flaw, amount", [("noise", 8.0), ("fade", 0.5), ("blur", 0.7), ("rotation", 14.0)])
def test_other_flaws_leave_the_score(reward, mean_scores, flaw, amount):
    clean, flawed = mean_scores(reward, flaw, (0.0, amount))
    assert flawed == pytest.approx(clean, abs=0.01)


def test_a_thing_without_a_name_pulls_the_score_down(reward):
    circle = drawing.Placed(Group("red", "circle"), 32.0, 42.0, 10.0)
    clean = drawing.paint([circle], "white", random.Random(0))
    scribbled = clean.copy()
    scribbled[8:16, 6:58] = drawing.RGB["blue"]
    before, after = scored(reward, np.stack([clean, scribbled])).values
    assert [thing.shape for thing in perceive(scribbled).objects] == [None, "circle"]
    assert after < before - 0.1


def test_an_image_without_a_thing_is_not_judged(reward):
    ramp = np.full((1, 64, 64, 3), 128, np.uint8)
    ramp[:, :, 32:] += 1
    assert scored(reward, ramp).reasons == ["no object was found"]
