"""PIQE judges every image as published, and abstains from flat drawings where params say so."""

import cv2
import numpy as np
from scored import scored

from versat2i import rewards


def textured(noise):
    """256x256 pixels of smooth texture with noise on it."""
    rng = np.random.default_rng(0)
    rough = rng.uniform(40, 215, (64, 64, 1)).repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(rough + rng.normal(0, noise, (256, 256, 3)), 0, 255).astype(np.uint8)


def test_piqe_judges_the_most_blurred_too(prompts):
    """As published: the more blurred, the worse. Those that are worst have few blocks with texture left."""
    judge = rewards.load("judges", "piqe")
    assert not judge.higher_is_better
    blurred = np.stack([cv2.GaussianBlur(textured(2.0), (0, 0), sigma) for sigma in (0.5, 2.0, 3.0, 8.0)])
    found = scored(judge, blurred, prompts[:4])
    assert found.reasons == [None] * 4
    assert (np.diff(found.values) > 0).all() and found.values[-1] > 90.0
    few = scored(rewards.load("judges", "piqe", min_active=32), blurred, prompts[:4])
    assert np.isnan(few.values).tolist() == [False, False, True, True]


def test_piqe_abstains_from_what_has_little_texture_where_params_say_so(draw, prompts):
    judge = rewards.load("judges", "piqe", min_active=32)
    assert set(scored(judge, draw(), prompts).reasons) == {"fewer than 32 blocks of 16x16 pixels have texture"}
    assert np.isfinite(scored(judge, textured(2.0)[None], prompts[:1]).values).all()
    assert np.isfinite(scored(rewards.load("judges", "piqe"), draw(), prompts).values).all()
