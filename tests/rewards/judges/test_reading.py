"""A scene is read by moments and by the colour of the middle, sharing no code with what selects."""

from functools import partial

import numpy as np
import placed
import pytest

from versat2i.rewards.judges.reading import SPREAD, descriptor, name_shape, read
from versat2i.shapes.world.drawing import Flaws
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES

painted = partial(placed.painted, radius=9.0)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_color_is_named_on_every_background(background):
    for color in COLORS:
        for fade in (0.0, 0.3):
            seen = read(painted((f"{color} square", 32, 32), background=background, flaws=Flaws(fade=fade)))
            assert (seen.background, [thing.color for thing in seen.things]) == (background, [color])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_named_small_and_large_and_stands_where_it_is(shape):
    for radius in (6.5, 9.0, 14.0):
        (thing,) = read(painted((f"red {shape}", 28.0, 35.0), radius=radius)).things
        assert thing.shape == shape
        assert (thing.x, thing.y) == pytest.approx((28, 35), abs=0.3 + 0.2 * radius)  # centres of area


def test_a_shape_that_is_none_of_the_known_has_no_name():
    member = np.zeros((64, 64))
    member[24:28, 12:52] = member[24:50, 12:17] = 1.0
    assert name_shape(member) is None


def test_moments_of_a_square_know_neither_its_place_nor_its_size():
    """By hand: ``c_20 = pi / 6`` and ``c_44 = -pi^2 / 60``; two fold, three fold and five fold there is none."""
    for size, corner in [(30, 3), (40, 20)]:
        member = np.zeros((64, 64))
        member[corner : corner + size, corner : corner + size] = 1.0
        moments = dict(zip(SPREAD, descriptor(member), strict=True))
        assert moments[2, 0] == pytest.approx(np.pi / 6, rel=0.01)
        assert moments[4, 4] == pytest.approx(-(np.pi**2) / 60, rel=0.01)
        assert [moments[order] for order in [(2, 2), (3, 3), (5, 5)]] == pytest.approx([0, 0, 0], abs=1e-9)
