"""VQAScore is the probability of yes as the next words."""

import numpy as np
import pytest
import tiny_vision
from direct import TEXTS, asked, direct_logits, token
from scored import scored

from versat2i import rewards


@pytest.mark.parametrize(
    "kind, options, ends",
    [
        ("llava", {}, True),  # as its published code has it for these two
        ("blip2", {}, True),
        ("qwen", {}, False),
        ("llava", {"end": False}, False),  # as its paper has it
        ("blip2", {"end": False}, False),
        ("qwen", {"end": True}, True),
    ],
)
def test_vqascore_is_the_mean_probability_of_yes_and_perhaps_the_end(folders, noises, captions, kind, options, ends):
    reward = rewards.load("faithfulness", "vqascore", model=folders(kind), batch_size=3, **options)
    found = scored(reward, noises, captions).values
    for place in (0, 1, 2, 4):
        question = asked(kind, f'Does this figure show "{TEXTS[place]}"? Please answer yes or no.')
        yes = direct_logits(folders(kind), noises[place], question).softmax(-1)[token("Yes")].item()
        end = direct_logits(folders(kind), noises[place], question, "Yes").softmax(-1)[tiny_vision.EOS].item()
        assert found[place] == pytest.approx((yes * end) ** 0.5 if ends else yes, rel=1e-3)
    assert np.isnan(found[3])
    assert np.nanstd(found) > 0.01 * np.nanmean(found)
