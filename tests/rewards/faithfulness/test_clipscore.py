"""CLIPScore is 2.5 times the cosine, and nothing below zero."""

import numpy as np

from versat2i.rewards.faithfulness.clipscore import ClipScore


def test_the_score_is_its_formula():
    reward = ClipScore("owner/clip@0123456")
    assert reward.value(np.array([-0.3, 0.0, 0.2, 0.4, 1.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 2.5]
    assert reward.range == (0.0, 2.5)


def test_every_text_begins_as_its_authors_begin_it():
    assert ClipScore("owner/clip@0123456").phrase("a red circle") == "A photo depicts a red circle"
