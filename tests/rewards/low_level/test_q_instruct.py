"""Q-Instruct weighs the words that could come next."""

import numpy as np
import pytest
from direct import STEM, asked, direct_logits, token
from scored import scored

from versat2i import rewards


@pytest.mark.parametrize(
    "kind, synonyms, stem",
    [
        ("llava", False, ""),
        ("llava", True, ""),
        ("llava", False, STEM),
        ("qwen", True, ""),
        ("qwen", False, STEM),
        ("blip2", True, STEM),
        ("blip2", False, ""),
    ],
)
def test_q_instruct_weighs_the_words_that_could_come_next(folders, noises, captions, kind, synonyms, stem):
    reward = rewards.load("low_level", "q_instruct", model=folders(kind), batch_size=2, synonyms=synonyms, stem=stem)
    found = scored(reward, noises, captions).values
    words = [("good", "high", "fine"), ("average", "medium", "acceptable"), ("poor", "low", "bad")]
    for place in (0, 1, 2, 4):
        logits = direct_logits(
            folders(kind), noises[place], asked(kind, "Rate the quality of the image.", stem, "human")
        )
        levels = [logits[[token(word) for word in level[: 3 if synonyms else 1]]].mean() for level in words]
        good, average, poor = np.exp(levels)
        assert found[place] == pytest.approx((good + average / 2) / (good + average + poor), rel=1e-3)
    assert np.isnan(found[3])


def test_q_instruct_may_leave_out_the_level_between_as_q_bench_does(folders, noises, captions):
    reward = rewards.load("low_level", "q_instruct", model=folders("llava"), stem=STEM, average=False)
    found = scored(reward, noises, captions).values
    for place in (0, 1, 2, 4):
        prompt = asked("llava", "Rate the quality of the image.", STEM, "human")
        logits = direct_logits(folders("llava"), noises[place], prompt)
        good, poor = logits[[token("good"), token("poor")]].exp().tolist()
        assert found[place] == pytest.approx(good / (good + poor), rel=1e-3)
