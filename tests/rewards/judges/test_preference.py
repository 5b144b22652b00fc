"""PickScore multiplies the cosine with the scale of its model, HPSv2 leaves it as it is."""

from types import SimpleNamespace

import numpy as np

from versat2i.rewards.judges.preference import HPSv2, PickScore

COSINES = np.array([-0.25, 0.0, 0.5])


def test_pickscore_is_the_cosine_times_the_scale():
    judge = PickScore("owner/clip@0123456")
    judge.clip = SimpleNamespace(scale=100.0)
    assert judge.value(COSINES).tolist() == [-25.0, 0.0, 50.0]


def test_hpsv2_is_the_cosine():
    assert HPSv2("owner/clip@0123456").value(COSINES).tolist() == [-0.25, 0.0, 0.5]


def test_both_are_told_the_prompt_as_it_is():
    assert {judge("owner/clip@0123456").phrase("a red circle") for judge in (PickScore, HPSv2)} == {"a red circle"}
