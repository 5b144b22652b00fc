import random

import numpy as np
import pytest

from versat2i.shapes.world.flaws import LOADINGS, WHOLE, web_flaws


def web_levels(amount=3000):
    """Levels of the flaws of many scenes as shares of their whole size, ``[scenes, flaws]``."""
    rng = random.Random(8)
    found = [web_flaws(rng) for _ in range(amount)]
    return np.array([[getattr(flaws, name) / getattr(WHOLE, name) for name in LOADINGS] for flaws in found])


def test_each_flaw_is_absent_or_whole_in_nearly_half_of_web_images():
    levels = web_levels()
    assert np.mean(levels == 0, axis=0) == pytest.approx(0.45, abs=0.03)
    assert np.mean(levels == 1, axis=0) == pytest.approx(0.45, abs=0.03)


def test_poor_sources_fade_and_blur_together_and_a_bent_image_is_more_often_bright():
    levels = dict(zip(LOADINGS, web_levels().T, strict=True))
    assert np.corrcoef(levels["fade"], levels["blur"])[0, 1] > 0.15
    assert np.corrcoef(levels["fade"], levels["bend"])[0, 1] < -0.15


@pytest.mark.parametrize("unseen", ["stamp", "cast"])
def test_what_no_evaluator_sees_goes_with_no_other_flaw(unseen):
    levels = dict(zip(LOADINGS, web_levels().T, strict=True))
    for name in LOADINGS.keys() - {unseen}:
        assert abs(np.corrcoef(levels[unseen], levels[name])[0, 1]) < 0.06  # three standard errors
