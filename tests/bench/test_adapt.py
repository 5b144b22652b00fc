"""Bases of another web."""

import pytest

from bench import adapt
from versat2i.shapes.pretraining import scenes


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_a_web_has_at_least_half_of_each_flaw_in_that_share_of_its_scenes(share):
    which = adapt.web(share, 0.1, 0.0)
    imagined = [scenes.imagine(5, index, which) for index in range(2000)]
    assert sum(each.flaws.stamp >= 0.5 for each in imagined) / 2000 == pytest.approx(share, abs=0.04)
    assert all(each.said == each.shown for each in imagined)


def test_graded_flaws_have_any_size():
    which = adapt.web(0.5, 1.0, 0.45)
    levels = sorted(scenes.imagine(5, index, which).flaws.fade for index in range(1000))
    assert levels[250] == pytest.approx(0.15, abs=0.04) and levels[750] == pytest.approx(0.45, abs=0.04)
