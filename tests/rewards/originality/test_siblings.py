"""The Vendi score counts different images; copies add nothing."""

import random

import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.originality import siblings
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Group


def scene(x, y=32.0):
    return drawing.paint([drawing.Placed(Group("red", "circle"), x, y, 9.0)], "white", random.Random(0))


def test_vendi_worked_out_by_hand():
    assert siblings.vendi(np.eye(3)) == pytest.approx(3.0)
    assert siblings.vendi(np.ones((4, 1))) == pytest.approx(1.0)
    assert siblings.vendi(np.eye(2)[[0, 0, 1, 1]]) == pytest.approx(2.0)
    shares = np.array([0.8, 0.2])  # (1 +- c) / 2 for two vectors of cosine c
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert siblings.vendi(np.array([[1.0, 0.0], [0.6, 0.8]])) == pytest.approx(expected)


def test_a_copy_adds_less_than_nothing_and_the_odd_one_most():
    found = siblings.gains(np.eye(2)[[0, 0, 1]])
    two_to_one = np.exp(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    assert found == pytest.approx([two_to_one - 2.0, two_to_one - 2.0, two_to_one - 1.0])


def judged(name, images, aspect="originality"):
    return scored(rewards.load(aspect, name, embedder="shapes", batch_size=2), np.stack(images))


def test_vendi_falls_as_siblings_become_copies():
    places = [(12.0, 12.0), (52.0, 12.0), (12.0, 52.0), (52.0, 52.0)]
    means = []
    for copies in range(4):
        found = judged("vendi", [scene(*places[max(0, at - copies)]) for at in range(4)], "judges").values
        assert len(set(found)) == 1
        means.append(found[0])
    assert (np.diff(means) < 0).all() and means[-1] == pytest.approx(1.0)


def test_the_gain_of_a_scene_falls_as_it_comes_near_its_sibling():
    found = [judged("siblings", [scene(12.0), scene(x)]).values[1] for x in (36.0, 30.0, 24.0, 18.0, 12.0)]
    assert (np.diff(found) < 0).all() and found[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("aspect, name", [("originality", "siblings"), ("judges", "vendi")])
def test_an_image_without_siblings_is_not_judged(aspect, name):
    assert judged(name, [scene(32.0)], aspect).reasons == [siblings.ALONE]


@pytest.mark.parametrize("aspect, name", [("originality", "siblings"), ("judges", "vendi")])
def test_all_images_of_a_prompt_are_asked_for_together(aspect, name):
    assert rewards.load(aspect, name, embedder="shapes").grouped
