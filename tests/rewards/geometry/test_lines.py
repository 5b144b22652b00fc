"""Perspectives are scored by how well their lines agree: bent or turned lines lower the score, light does not."""

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scored import scored
from strokes import LEFT, RIGHT, UP, nearest, painted, strokes, turned

from versat2i import rewards
from versat2i.rewards.geometry import lines, vanishing


@pytest.fixture(scope="module")
def reward():
    return rewards.load("geometry", "lines")


def score(reward, *images):
    return scored(reward, np.stack(images)).values


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float64, (20, 4), elements=st.floats(-1, 1, width=16)))
def test_any_segments_have_a_consensus_between_0_and_1_that_is_always_the_same(segments):
    segments = segments[lines.lengths(segments) > 0.05]
    value = lines.consensus(segments)
    assert 0.0 <= value <= 1.0
    assert lines.consensus(segments) == value


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
    there, back = score(reward, image, image)[0], scored(reward, image[None, :, ::-1]).values[0]
    assert back == pytest.approx(there, abs=0.08)  # LSD and RANSAC see other pixels and pairs first


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 16]))
def test_any_image_is_judged_or_not_with_a_reason(reward, height, width, seed, cell):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = noise.repeat(cell, axis=0).repeat(cell, axis=1)[: 8 * height, : 8 * width]
    found = scored(reward, image[None])
    assert np.isnan(found.values[0]) == (found.reasons[0] is not None)
    assert np.isnan(found.values[0]) or 0.0 <= found.values[0] <= 1.0


def test_few_lines_are_not_judged(reward):
    found = scored(reward, painted(strokes([LEFT], each=5))[None])
    assert np.isnan(found.values[0])
    assert found.reasons[0].endswith("long line segments; fewer than 15 tell nothing of the perspective")


def test_an_image_without_lines_is_not_judged(reward):
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    smooth = np.broadcast_to(ramp[None, :, None], (64, 256, 3))[None].copy()
    assert scored(reward, smooth).reasons[0].startswith("0 long line segments")
