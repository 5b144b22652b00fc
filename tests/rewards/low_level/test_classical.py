"""Noise and blur lower the score; what is shown, in which colours and how much of it, does not."""

import random

import cv2
import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.low_level import classical
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Description, Group


@pytest.fixture(scope="module")
def reward():
    return rewards.load("low_level", "classical")


@pytest.mark.parametrize(
    "flaw, amounts", [("noise", (0.0, 1.0, 2.0, 4.0, 8.0, 12.0)), ("blur", (0.0, 0.4, 0.7, 1.0, 1.5))]
)
@pytest.mark.parametrize("others", [{}, {"fade": 0.5}])
def test_more_of_a_flaw_lowers_the_score_of_every_image(reward, draw, prompts, flaw, amounts, others):
    scores = [scored(reward, draw(**{flaw: a}, **others), prompts).values for a in amounts]
    assert (np.diff(scores, axis=0) < 0).all()


def test_blur_lowers_the_score_of_noisy_images(reward, mean_scores):
    assert (np.diff(mean_scores(reward, "blur", (0.0, 0.4, 0.7, 1.0, 1.5), noise=8.0)) < 0).all()


@pytest.mark.parametrize("flaw, amount", [("fade", 0.7), ("jitter", 22.0), ("bend", 0.16), ("rotation", 14.0)])
def test_other_flaws_leave_the_score(reward, mean_scores, flaw, amount):
    clean, flawed = mean_scores(reward, flaw, (0.0, amount))
    assert flawed == pytest.approx(clean, abs=0.01)


def test_contrast_leaves_the_score_of_images_with_flaws(reward, mean_scores):
    for others in ({"noise": 8.0}, {"blur": 1.0}):
        clear, faded = mean_scores(reward, "fade", (0.0, 0.5), **others)
        assert faded == pytest.approx(clear, abs=0.02)


@pytest.mark.parametrize("flaws", [{}, {"noise": 8.0}, {"blur": 1.0}])
def test_the_number_of_objects_leaves_the_score(reward, flaws):
    def mean(count):
        scene = Description((Group("red", "circle", count),), background="white")
        images = [drawing.draw(scene, random.Random(i), drawing.Flaws(**flaws)) for i in range(4)]
        return scored(reward, np.stack(images)).values.mean()

    assert mean(4) == pytest.approx(mean(1), abs=0.02)


@pytest.mark.parametrize("background", ["white", "black", "gray"])
@pytest.mark.parametrize("sigma", [2.0, 8.0, 12.0])
def test_noise_is_measured_in_grey_levels_also_where_it_is_clipped(background, sigma):
    scene = Description((Group("red", "star", 2),), background=background)
    image = drawing.draw(scene, random.Random(0), drawing.Flaws(noise=sigma))
    assert classical.noise(image) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("blur", [0.7, 1.0])
def test_edge_width_is_the_deviation_of_the_blur(blur):
    step = np.zeros((64, 64, 3), np.uint8)
    step[:, 32:] = 200
    image = cv2.GaussianBlur(step, (0, 0), blur)
    gradient_filter = 1 / 3  # variance of a box of two pixels, over which the gradient is taken
    assert classical.edge_width(image, 0.0) == pytest.approx(np.sqrt(blur**2 + gradient_filter), rel=0.06)


def test_blur_is_seen_at_any_size(reward, draw, prompts):
    large = np.stack([cv2.resize(image, (200, 160), interpolation=cv2.INTER_NEAREST) for image in draw()])
    soft = np.stack([cv2.GaussianBlur(image, (0, 0), 1.0) for image in large])
    assert (scored(reward, large, prompts).values > scored(reward, soft, prompts).values).all()


def test_an_image_without_an_edge_is_not_judged(reward):
    plain = np.full((64, 64, 3), 128.0)
    noisy = np.clip(plain + 8.0 * np.random.default_rng(0).standard_normal(plain.shape), 0, 255).astype(np.uint8)
    found = scored(reward, np.stack([plain.astype(np.uint8), noisy]))
    assert np.isnan(found.values).all()
    assert found.reasons == ["the image is blank", "no edge stands out from the noise"]
