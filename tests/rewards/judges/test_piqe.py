"""PIQE judges texture and abstains from flat drawings."""

import numpy as np

from versat2i import rewards
from versat2i.rewards.judges import piqe


def textured(noise):
    """256x256 pixels of smooth texture with noise on it."""
    rng = np.random.default_rng(0)
    rough = rng.uniform(40, 215, (64, 64, 1)).repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(rough + rng.normal(0, noise, (256, 256, 3)), 0, 255).astype(np.uint8)


def test_piqe_abstains_from_drawings_and_judges_texture(draw, prompts):
    judge = rewards.load("judges", "piqe")
    assert not judge.higher_is_better
    few = f"fewer than {piqe.MIN_ACTIVE} blocks of 16x16 pixels have texture"
    assert set(judge.score(draw(), prompts, None).reasons) == {few}
    (value,) = judge.score(textured(2.0)[None], prompts[:1], None).values
    assert 0.0 <= value <= 100.0
