"""VQAScore is the probability of yes as the next word."""

import numpy as np
import pytest
from direct import TEXTS, asked, direct_logits, token

from versat2i import rewards


@pytest.mark.parametrize("kind", ["llava", "qwen", "blip2"])
def test_vqascore_is_the_probability_of_yes(folders, noises, captions, kind):
    reward = rewards.load("faithfulness", "vqascore", model=folders(kind), batch_size=3)
    found = reward.score(noises, captions, None).values
    for place in (0, 1, 2, 4):
        question = f'Does this figure show "{TEXTS[place]}"? Please answer yes or no.'
        logits = direct_logits(folders(kind), noises[place], asked(kind, question))
        assert found[place] == pytest.approx(logits.softmax(-1)[token("Yes")].item(), rel=1e-3)
    assert np.isnan(found[3])
    assert np.nanstd(found) > 0.01 * np.nanmean(found)
