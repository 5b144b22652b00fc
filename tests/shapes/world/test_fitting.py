"""What an object covers is fitted with ideal shapes: centre, size and edge are those that were put there."""

import cv2
import numpy as np
import pytest

from versat2i.shapes.world import fitting
from versat2i.shapes.world.drawing import OUTLINES
from versat2i.shapes.world.grammar import SHAPES


def filled(shape, x=32.0, y=32.0, radius=14.0, degrees=0.0):
    """Coverage of a shape, each pixel the mean of 8 x 8 samples."""
    turn = cv2.getRotationMatrix2D((0, 0), degrees, 1.0)[:, :2]
    canvas = np.zeros((512, 512), np.float32)
    points = (OUTLINES[shape] @ turn.T * radius + (x, y)) * 8
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 1.0)
    return cv2.resize(canvas, (64, 64), interpolation=cv2.INTER_AREA)


def test_the_median_of_an_even_number_is_the_upper_one():
    assert fitting.median(np.array([3.0, 1.0, 4.0, 2.0], np.float32)) == 3.0
    assert fitting.median(np.array([[3.0, 9.0], [1.0, 7.0], [2.0, 8.0]], np.float32)).tolist() == [2.0, 8.0]


def test_the_steepness_of_a_ramp_is_its_slope():
    ramp = np.tile(np.clip(np.arange(64) * 0.05 - 1.0, 0, 1), (64, 1)).astype(np.float32)
    assert fitting.steepness(ramp) == pytest.approx(0.05)
    assert fitting.steepness(ramp.T.copy()) == pytest.approx(0.05)


def test_without_an_edge_the_steepness_is_that_of_a_sharp_one():
    """From 0 to 1 within a pixel, seen by central differences: 1/2."""
    assert fitting.steepness(np.zeros((64, 64), np.float32)) == 0.5


def test_the_place_of_a_rectangle_is_its_middle_and_the_radius_of_the_circle_of_its_area():
    coverage = np.zeros((64, 64), np.float32)
    coverage[10:20, 30:50] = 1.0
    assert fitting.place(coverage) == pytest.approx((39.5, 14.5, np.sqrt(200 / np.pi)))


def test_half_covered_pixels_count_half():
    coverage = np.zeros((64, 64), np.float32)
    coverage[10:20, 30:50] = 0.5
    assert fitting.place(coverage) == pytest.approx((39.5, 14.5, np.sqrt(100 / np.pi)))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("triangle", "star", "heart")])
def test_a_shape_that_is_its_own_mirror_image_is_not_lifted(shape):
    assert fitting.lift(shape) == pytest.approx(0, abs=1e-6)


def test_a_triangle_is_lifted_by_its_offset_in_units_of_its_area():
    """An equilateral triangle of circumradius 1.1 has the area 3 sqrt(3) / 4 1.1^2, and stands 0.18 too low."""
    assert fitting.lift("triangle") == pytest.approx(0.18 / np.sqrt(3 * np.sqrt(3) / 4 * 1.1**2 / np.pi), rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_best_shape_is_the_one_that_was_drawn_moved_and_turned(shape):
    found, fit = fitting.best_shape(filled(shape, 27.4, 35.6, degrees=10.0))
    assert found == shape and 0.97 < fit <= 1.0


def test_what_is_no_shape_fits_less():
    member = np.zeros((64, 64), np.float32)
    member[24:28, 12:52] = member[24:50, 12:17] = 1.0
    assert fitting.best_shape(member)[1] < 0.8
