"""Levels are the weighted mean of words, by how probable each is as the next one."""

import math

import numpy as np
import pytest
from direct import STEM, TEXTS, asked, direct_logits, token
from model_server import ModelServer
from scored import scored

from versat2i import rewards
from versat2i.rewards.common import levels
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward

WORDS = {"high": 5, "good": 4, "medium": 3, "poor": 2, "bad": 1}  # in the vocabulary of random models


def test_quality_worked_out_by_hand():
    logits = np.log([[[0.5], [0.25], [0.25]], [[0.1], [0.2], [0.1]]])
    assert levels.quality(logits, [5.0, 3.0, 1.0]) == pytest.approx([3.5, 3.0])


@pytest.mark.parametrize("kind", ["llava", "qwen", "blip2"])
def test_five_words_are_weighed_by_their_probabilities(folders, noises, captions, kind):
    reward = rewards.load("low_level", "levels", model=folders(kind), words=WORDS, question="Rate it .", batch_size=2)
    found = scored(reward, noises, captions).values
    for place in (0, 1, 2, 4):
        logits = direct_logits(folders(kind), noises[place], asked(kind, "Rate it .", STEM, "human"))
        shares = logits[[token(word) for word in WORDS]].softmax(-1).numpy()
        assert found[place] == pytest.approx(shares @ np.array(list(WORDS.values())), rel=1e-3)
    assert np.isnan(found[3]) and reward.range == (1.0, 5.0)


def test_q_instruct_is_a_case_of_it(folders, noises, captions):
    words = {"good": 1, "average": 0.5, "poor": 0}
    own = rewards.load("low_level", "q_instruct", model=folders("llava"), stem=STEM)
    same = rewards.load(
        "low_level", "levels", model=folders("llava"), question="Rate the quality of the image.", words=words
    )
    np.testing.assert_allclose(scored(own, noises, captions).values, scored(same, noises, captions).values)


def served(says, **options):
    images = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
    with ModelServer(lambda *_: says) as server:
        machine = Compute(device="cpu", servers={"here": Server(url=server.url)})
        chosen = Reward(evaluator="levels", model="a/model", server="here", **options)
        reward = rewards.from_params("judges", chosen, machine)
        (found,) = rewards.judged(reward, images, [rewards.Prompt("p", "x")])
    return found, server.bodies[0]["messages"]


def test_a_served_model_is_asked_with_the_stem_and_its_words_are_weighed():
    says = {" excellent": math.log(0.25), " good": math.log(0.25), " blurry": math.log(0.5)}
    found, messages = served(says)
    assert found == pytest.approx(0.875)
    assert messages[0]["content"][1]["text"] == "How would you rate the quality of this image?"
    assert messages[1] == {"role": "assistant", "content": "The quality of the image is"}
    found, messages = served({"yes": math.log(0.75), "no": math.log(0.25)}, words={"yes": 1, "no": -1}, stem="")
    assert found == pytest.approx(0.5) and len(messages) == 1


def test_a_question_may_hold_the_prompt_of_each_image(folders, noises, captions):
    words, question = {"Yes": 1, "No": 0}, 'Does this show "{prompt}"?'
    reward = rewards.load("faithfulness", "levels", model=folders("qwen"), words=words, question=question, stem="")
    found = scored(reward, noises, captions).values
    for place in (0, 1, 2, 4):
        text = asked("qwen", f'Does this show "{TEXTS[place]}"?')
        logits = direct_logits(folders("qwen"), noises[place], text)
        assert found[place] == pytest.approx(logits[[token("Yes"), token("No")]].softmax(-1)[0].item(), rel=1e-3)
    _, messages = served({"Yes": 0.0}, words=words, question=question)
    assert messages[0]["content"][1]["text"] == 'Does this show "x"?'


def test_a_served_model_that_says_none_of_the_words_is_a_reason_to_abstain():
    found, _ = served({"The": math.log(0.9), "good": math.log(0.001)})
    assert found == "the answer begins with none of the words, but with 'The'"


def test_words_that_tell_nothing_apart_are_refused():
    with pytest.raises(ValueError, match="do not tell images apart"):
        rewards.load("judges", "levels", model="a/model", server="here", words={"good": 1, "fine": 1})
