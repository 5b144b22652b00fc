"""Straight edges are found where they were drawn, and have the length that they were drawn with."""

import numpy as np
import pytest

from versat2i.rewards.geometry import segments


def test_lengths_are_those_of_pythagoras():
    drawn = np.array([[0.0, 0.0, 3.0, 4.0], [10.0, 5.0, 10.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    assert segments.lengths(drawn).tolist() == [5.0, 3.0, 0.0]


def test_no_segments_have_no_lengths():
    assert segments.lengths(np.empty((0, 4))).shape == (0,)


def test_a_flat_image_has_no_segment():
    assert segments.detect(np.full((64, 64, 3), 128, np.uint8)).shape == (0, 4)


def test_a_bar_has_its_four_sides():
    """80 wide and 40 high, its upper left corner at (30, 40)."""
    image = np.full((128, 128, 3), 220, np.uint8)
    image[40:80, 30:110] = 20
    found = segments.detect(image)
    assert found.shape == (4, 4) and found.dtype == np.float64
    assert sorted(segments.lengths(found)) == pytest.approx([40, 40, 80, 80], abs=3)
    sides = sorted((round(abs(x2 - x1)) > 60, round((x1 + x2) / 2), round((y1 + y2) / 2)) for x1, y1, x2, y2 in found)
    expected = [(False, 30, 60), (False, 110, 60), (True, 70, 40), (True, 70, 80)]
    assert [side[0] for side in sides] == [side[0] for side in expected]
    for side, (_, x, y) in zip(sides, expected, strict=True):
        assert side[1:] == (pytest.approx(x, abs=1), pytest.approx(y, abs=1))
