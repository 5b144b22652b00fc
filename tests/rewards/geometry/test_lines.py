"""Drawn perspectives whose vanishing points are known: bent or turned lines lower the score, light does not."""

import cv2
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from versat2i import rewards
from versat2i.rewards.geometry import lines, vanishing

SIZE = 512
LEFT, RIGHT, UP = (-300.0, 200.0), (900.0, 260.0), None  # pixels; the third at infinity, upright


@pytest.fixture(scope="module")
def reward():
    return rewards.load("geometry", "lines")


def towards(start, point, length=150.0):
    """The end of a stroke from a start towards a vanishing point."""
    way = np.array([0.0, -1.0]) if point is None else np.subtract(point, start)
    return np.asarray(start) + length * way / np.linalg.norm(way)


def strokes(points=(LEFT, RIGHT, UP), each=14, seed=0):
    """Straight strokes towards each vanishing point, ``[strokes, 4]`` in pixels, apart from one another."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation([(x, y) for x in range(90, 450, 55) for y in range(185, 480, 46)]).astype(float)
    goals = [point for point in points for _ in range(each)]
    return np.array([[*start, *towards(start, goal)] for start, goal in zip(cells, goals, strict=False)])


def turned(pixels, degrees, seed=1):
    """Each stroke turned about its middle by a random angle of this standard deviation."""
    angles = np.radians(degrees) * np.random.default_rng(seed).standard_normal(len(pixels))
    middle, half = (pixels[:, :2] + pixels[:, 2:]) / 2, (pixels[:, 2:] - pixels[:, :2]) / 2
    half = np.column_stack(
        [
            half[:, 0] * np.cos(angles) - half[:, 1] * np.sin(angles),
            half[:, 0] * np.sin(angles) + half[:, 1] * np.cos(angles),
        ]
    )
    return np.column_stack([middle - half, middle + half])


def painted(pixels, sagitta=0.0, ink=60, paper=180):
    """An image of strokes, each bent into a parabola of this height in pixels."""
    canvas = np.full((SIZE, SIZE), paper, np.uint8)
    along = np.linspace(-1.0, 1.0, 41)
    for x1, y1, x2, y2 in pixels:
        normal = np.array([y1 - y2, x2 - x1]) / np.hypot(x2 - x1, y2 - y1)
        path = np.outer((1 - along) / 2, (x1, y1)) + np.outer((1 + along) / 2, (x2, y2))
        path += np.outer(sagitta * (1 - along**2), normal)
        cv2.polylines(canvas, [np.round(path * 16).astype(np.int32)], False, ink, 3, cv2.LINE_AA, 4)
    return canvas[..., None].repeat(3, axis=2)


def centred(pixels):
    """Pixels in the coordinates of `long_segments`."""
    return (np.asarray(pixels) - SIZE / 2) / (np.sqrt(2) * SIZE / 2)


def nearest(points, goal):
    """Angle in degrees between a vanishing point and the nearest one found, as rays from the camera."""
    ray = np.array([0.0, 1.0, 0.0]) if goal is None else np.append(centred(np.tile(goal, 2))[:2], 1.0)
    return np.degrees(np.arccos(min(1.0, np.abs(points @ ray).max() / np.linalg.norm(ray))))


def score(reward, *images):
    return reward.score(np.stack(images), None, None).values


# ------------------------------------------------------------------------------------- by segments


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


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float64, (20, 4), elements=st.floats(-1, 1, width=16)))
def test_any_segments_have_a_consensus_between_0_and_1_that_is_always_the_same(segments):
    segments = segments[lines.lengths(segments) > 0.05]
    value = lines.consensus(segments)
    assert 0.0 <= value <= 1.0
    assert lines.consensus(segments) == value


# --------------------------------------------------------------------------------------- by images


def test_a_drawn_perspective_agrees_and_points_where_it_was_drawn_to(reward):
    image = painted(strokes())
    assert score(reward, image) > 0.95
    points = vanishing.vanishing_points(lines.long_segments(image))
    assert len(points) == 3
    assert max(nearest(points, goal) for goal in (LEFT, RIGHT, UP)) < 2.0


def test_the_more_lines_are_turned_the_lower_the_score(reward):
    scores = score(reward, *(painted(turned(strokes(), degrees)) for degrees in (0, 1, 2, 4, 8)))
    assert (np.diff(scores) < 0).all()


def test_the_more_lines_are_bent_the_lower_the_score(reward):
    scores = score(reward, *(painted(strokes(), sagitta) for sagitta in (0, 3, 6, 9, 12)))
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("light", [-40, 20, 60])
def test_brightness_leaves_the_score(reward, light):
    image = painted(turned(strokes(), 2.0))
    np.testing.assert_allclose(
        score(reward, image), score(reward, (image.astype(int) + light).astype(np.uint8)), atol=1e-9
    )


def test_contrast_hardly_moves_the_score(reward):
    strong, weak = score(reward, *(painted(turned(strokes(), 2.0), ink=ink) for ink in (60, 120)))
    assert weak == pytest.approx(strong, abs=0.03)


def test_the_same_image_gets_the_same_score(reward):
    image = painted(turned(strokes(), 3.0))
    assert score(reward, image) == score(reward, image)


def test_photographed_bricks_agree_and_grass_is_not_judged(reward):
    bricks, grass = score(reward, *(skimage.color.gray2rgb(getattr(skimage.data, n)()) for n in ("brick", "grass")))
    assert bricks > 0.9
    assert np.isnan(grass)


def test_mirrored_images_have_the_same_geometry(reward):
    image = painted(turned(strokes(), 2.0))
    there, back = score(reward, image, image)[0], reward.score(image[None, :, ::-1], None, None).values[0]
    assert back == pytest.approx(there, abs=0.08)  # LSD and RANSAC see other pixels and pairs first


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 16]))
def test_any_image_is_judged_or_not_with_a_reason(reward, height, width, seed, cell):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = noise.repeat(cell, axis=0).repeat(cell, axis=1)[: 8 * height, : 8 * width]
    found = reward.score(image[None], None, None)
    assert np.isnan(found.values[0]) == (found.reasons[0] is not None)
    assert np.isnan(found.values[0]) or 0.0 <= found.values[0] <= 1.0


def test_few_lines_are_not_judged(reward):
    found = reward.score(painted(strokes([LEFT], each=5))[None], None, None)
    assert np.isnan(found.values[0])
    assert found.reasons[0].endswith("long line segments; fewer than 15 tell nothing of the perspective")


def test_an_image_without_lines_is_not_judged(reward):
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    smooth = np.broadcast_to(ramp[None, :, None], (64, 256, 3))[None].copy()
    assert reward.score(smooth, None, None).reasons[0].startswith("0 long line segments")
