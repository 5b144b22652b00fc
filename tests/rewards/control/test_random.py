"""The control knows the image's bytes and nothing else."""

import numpy as np
from scored import scored

from versat2i import rewards


def test_the_same_image_gets_the_same_score_wherever_it_stands(draw, prompts):
    random = rewards.load("control", "random")
    images = draw()
    forward = scored(random, images, prompts).values
    backward = scored(random, images[::-1], prompts[::-1]).values
    np.testing.assert_array_equal(forward, backward[::-1])


def test_one_changed_pixel_changes_the_score(draw, prompts):
    random = rewards.load("control", "random")
    images = draw()
    changed = images.copy()
    changed[:, 0, 0, 0] ^= 1
    before, after = (scored(random, these, prompts).values for these in (images, changed))
    assert (before != after).all()


def test_the_scores_are_spread_evenly():
    images = np.arange(4 * 2000, dtype=np.uint32).view(np.uint8)[: 3 * 4 * 2000].reshape(-1, 2, 4, 1)
    images = np.repeat(images, 3, axis=-1)
    values = scored(rewards.load("control", "random"), images).values
    np.testing.assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)


def test_a_known_image_has_the_score_it_always_had():
    image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert scored(rewards.load("control", "random"), image).values[0] == 0.1894628395287683
