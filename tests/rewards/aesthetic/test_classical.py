"""Colour, contrast and balance raise the score; noise, blur and the kind of shape do not."""

import random

import cv2
import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.aesthetic import classical
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import SHAPES, Group


@pytest.fixture(scope="module")
def reward():
    return rewards.load("aesthetic", "classical")


def disc(x, y, color=(220, 40, 40)):
    image = np.full((64, 64, 3), 8, np.uint8)
    cv2.circle(image, (x, y), 8, color, -1)
    return image


def test_washed_out_colors_lower_the_score_of_every_image(reward, draw, prompts):
    scores = [scored(reward, draw(fade=fade), prompts).values for fade in (0.0, 0.1, 0.25, 0.5, 0.7)]
    assert (np.diff(scores, axis=0) < 0).all()


def test_noise_does_not_count_as_color(reward, draw, prompts):
    for fade in (0.0, 0.5):
        clean = scored(reward, draw(fade=fade), prompts).values
        for noise in (2.0, 4.0, 8.0, 12.0):
            change = scored(reward, draw(fade=fade, noise=noise), prompts).values - clean
            assert change.mean() <= 0.0
            assert change.max() < 0.01


def test_blur_bends_and_turns_matter_little(reward, mean_scores):
    for flaw, amount in [("blur", 1.0), ("bend", 0.16), ("rotation", 14.0)]:
        clean, flawed = mean_scores(reward, flaw, [0.0, amount])
        assert flawed == pytest.approx(clean, abs=0.03)


def test_the_kind_of_shape_matters_less_than_a_mild_fade(reward):
    def scene(shape, fade):
        thing = drawing.Placed(Group("red", shape), 32.0, 32.0, unit[shape])
        return drawing.paint([thing], "black", random.Random(0), drawing.Flaws(fade=fade))

    areas = {shape: cv2.contourArea(drawing.OUTLINES[shape].astype(np.float32)) for shape in SHAPES}
    unit = {shape: 12.0 / np.sqrt(area / np.pi) for shape, area in areas.items()}  # one area for all
    sharp, faded = (scored(reward, np.stack([scene(s, f) for s in SHAPES])).values for f in (0.0, 0.25))
    assert np.ptp(sharp) < (sharp - faded).mean()


def test_a_thing_in_the_middle_is_better_balanced_than_one_in_a_corner(reward):
    places = [(32, 32), (26, 26), (20, 20), (12, 12)]
    scores = scored(reward, np.stack([disc(x, y) for x, y in places])).values
    assert (np.diff(scores) < 0).all()


def test_colourfulness_is_that_of_the_paper():
    # half red (255, 0, 0), half blue (0, 0, 255): rg = 255, 0 and yb = 127.5, -255
    image = np.zeros((2, 2, 3))
    image[0, :, 0] = image[1, :, 2] = 255.0
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    assert classical.colourfulness(image) == pytest.approx(expected)


def test_grey_has_no_color_and_one_color_no_contrast():
    grey = np.arange(64.0).reshape(8, 8, 1).repeat(3, axis=2)
    assert classical.colourfulness(grey) == 0.0
    assert classical.contrast(np.full((8, 8, 3), 77.0)) == pytest.approx(0.0)


def test_the_score_hardly_depends_on_the_size_of_the_image(reward, draw, prompts):
    images = draw()
    large = np.stack([cv2.resize(image, (256, 192), interpolation=cv2.INTER_CUBIC) for image in images])
    small, big = (scored(reward, these, prompts).values for these in (images, large))
    np.testing.assert_allclose(small, big, atol=0.05)


def test_a_blank_image_is_not_judged(reward, prompts):
    assert scored(reward, np.zeros((1, 64, 64, 3), np.uint8), prompts[:1]).reasons == ["the image is blank"]
