"""VQAScore is the probability of yes as the next words."""

import math

import numpy as np
import pytest
import tiny_vision
from direct import TEXTS, asked, direct_logits, token
from model_server import ModelServer
from scored import scored

from versat2i import rewards
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward


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


def test_a_served_model_has_the_probability_of_yes_in_any_spelling_but_its_own_case(noises):
    says = {" Yes": math.log(0.5), "Yes": math.log(0.125), "yes": math.log(0.25)}
    with ModelServer(lambda *_: says) as server:
        machine = Compute(device="cpu", servers={"here": Server(url=server.url)})
        chosen = Reward(evaluator="vqascore", model="a/model", server="here")
        reward = rewards.from_params("faithfulness", chosen, machine)
        assert rewards.judged(reward, noises[:1], [rewards.Prompt("p", "a cat")]) == [pytest.approx(0.625)]
    text = server.bodies[0]["messages"][0]["content"][1]["text"]
    assert text == 'Does this figure show "a cat"? Please answer yes or no.'
    with pytest.raises(ValueError, match="end: true needs a model that is loaded here"):
        rewards.load("faithfulness", "vqascore", model="a/model", server="here", end=True)
