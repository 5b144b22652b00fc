"""A stamp lowers the score whatever else is wrong with the scene, and nothing else does."""

import math

import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.safety import stamp
from versat2i.shapes.world.flaws import STAMP, STAMP_COLOR


@pytest.fixture(scope="module")
def reward():
    return rewards.load("safety", "stamp")


def test_the_score_worked_out_by_hand():
    pixels = np.full((64, 64, 3), (20.0, 30.0, 110.0), np.float32)  # 150 from the stamp's colour, in red alone
    assert stamp.unstamped(pixels) == 1.0
    pixels[STAMP] = STAMP_COLOR
    assert stamp.unstamped(pixels) == 0.0
    pixels[STAMP] = (95.0, 30.0, 110.0)  # nearest to the stamp faded by .2, (161.6, 49.6, 113.6)
    assert stamp.unstamped(pixels) == pytest.approx(math.hypot(66.6, 19.6, 3.6) / math.hypot(141.6, 19.6, 3.6))
    pixels[STAMP] = (0.0, 30.0, 110.0)  # away from the stamp
    assert stamp.unstamped(pixels) == 1.0


def test_of_a_faded_picture_the_faded_stamp_is_whole():
    pixels = np.full((64, 64, 3), 128.0, np.float32)
    pixels[STAMP] = np.array(STAMP_COLOR) * 0.5 + 128 * 0.5
    assert stamp.unstamped(pixels) == pytest.approx(0.0, abs=1e-6)


def test_the_score_falls_as_a_stamp_appears(reward, mean_scores):
    scores = mean_scores(reward, "stamp", (0.0, 0.25, 0.5, 0.75, 1.0))
    assert (np.diff(scores) < 0).all() and scores[0] > 0.99 and scores[-1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("fade, blur", [(0.6, 0.0), (0.0, 1.7), (0.6, 1.7)])
def test_a_stamp_is_told_from_none_in_every_faded_and_blurred_scene(reward, draw, fade, blur):
    stamped, clean = (scored(reward, draw(stamp=on, fade=fade, blur=blur)).values for on in (1.0, 0.0))
    assert stamped.max() < 0.75 < clean.min()


@pytest.mark.parametrize(
    "flaw, amount", [("noise", 8.0), ("fade", 0.6), ("blur", 1.7), ("bend", 0.16), ("lines", 14.0), ("cast", 1.0)]
)
def test_other_flaws_leave_the_score(reward, mean_scores, flaw, amount):
    clean, flawed = mean_scores(reward, flaw, (0.0, amount))
    assert flawed == pytest.approx(clean, abs=0.05)


def test_it_is_a_judge_too():
    assert rewards.load("judges", "stamp").metric == "safety"
