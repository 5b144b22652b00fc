"""Vanishing points are found where they were drawn to."""

import numpy as np
import pytest
from strokes import LEFT, RIGHT, UP, centred, nearest, strokes

from versat2i.rewards.geometry import lines, vanishing


def test_the_deviation_is_the_angle_at_the_middle_of_a_segment():
    segments = np.array([[-1.0, 0.0, 1.0, 0.0]])
    points = np.array([[5.0, 0.0, 1.0], [0.0, 3.0, 1.0], [2.0, 2.0, 1.0], [-4.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    expected = np.radians([0.0, 90.0, 45.0, 0.0, 45.0])
    np.testing.assert_allclose(vanishing.deviations(segments, points)[:, 0], expected, atol=1e-12)


def test_agreement_falls_from_one_to_nothing_at_the_tolerance():
    angles = np.array([0.0, 0.5, 1.0, 2.0]) * vanishing.TOLERANCE
    np.testing.assert_allclose(vanishing.agreement(angles), [1.0, 0.75, 0.0, 0.0], atol=1e-12)


def test_the_vanishing_points_of_a_perspective_are_found():
    points = vanishing.vanishing_points(centred(strokes()))
    assert len(points) == 3
    assert max(nearest(points, goal) for goal in (LEFT, RIGHT, UP)) < 1.0
    assert lines.consensus(centred(strokes())) > 0.98


def test_one_direction_has_one_vanishing_point():
    assert len(vanishing.vanishing_points(centred(strokes([LEFT], each=30)))) == 1


def test_a_fourth_direction_is_not_explained():
    fourth = (256.0, 2000.0)
    pixels = strokes((LEFT, RIGHT, UP, fourth), each=11)
    expected = 33 / 44  # all strokes are equally long
    assert lines.consensus(centred(pixels)) == pytest.approx(expected, abs=0.12)


def test_what_no_four_lines_agree_on_is_no_vanishing_point():
    angles = np.radians(np.arange(0, 360, 45 / 2))
    on, along = np.stack([np.cos(angles), np.sin(angles)], 1), np.stack([-np.sin(angles), np.cos(angles)], 1)
    circle = np.hstack([on, on + along])[:8]  # tangents of a half circle, 22.5 degrees apart
    assert len(vanishing.vanishing_points(circle)) == 0
    assert lines.consensus(circle) == 0.0
