"""Soft-TIFA is the mean probability of the right answers, by a model that is loaded or one that is served."""

import math

import numpy as np
import pytest
import tiny_vision
import tiny_words
from direct import asked, direct_logits, token
from model_server import ModelServer

from versat2i import rewards
from versat2i.rewards.common.vlm import VisionLanguage
from versat2i.rewards.faithfulness import soft_tifa
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward


def test_an_answer_is_known_in_every_way_it_may_be_written():
    assert soft_tifa.variants("yes") == ["Yes", "yes"]
    assert soft_tifa.variants(" Two") == ["2", "Two", "two"]
    assert soft_tifa.variants("12") == ["12", "Twelve", "twelve"]
    assert soft_tifa.variants("100") == ["100"]


def test_the_two_means_worked_out_by_hand():
    assert soft_tifa.aggregated([0.9, 0.4], "arithmetic") == pytest.approx(0.65)
    assert soft_tifa.aggregated([0.9, 0.4], "geometric") == pytest.approx(0.6)
    assert soft_tifa.aggregated([1.0, 0.0], "geometric") == 0.0


def prompt(*pairs):
    """A prompt with questions and their right answers."""
    names = {"choices": ["yes", "no"], "element_type": "object", "parent_ids": []}
    rows = [names | {"question_id": str(n), "question": q, "answer": a} for n, (q, a) in enumerate(pairs)]
    return rewards.Prompt("p", "a prompt", rows)


PROMPTS = [
    prompt(("Is there a circle ?", "yes"), ("Is there a square ?", "no")),
    prompt(("Is there a circle ?", "yes")),
]


@pytest.mark.parametrize("mean, metric", soft_tifa.MEANS.items())
@pytest.mark.parametrize("kind", ["llava", "qwen", "blip2"])
def test_the_score_is_the_mean_probability_of_the_answers(folders, noises, kind, mean, metric):
    reward = rewards.load("faithfulness", "soft_tifa", model=folders(kind), mean=mean, batch_size=1)
    assert reward.metric == metric
    found = rewards.judged(reward, noises[:3], [*PROMPTS, rewards.Prompt("q", "no question")])
    assert found[2] == "no question for the prompt"

    def probability(place, question, *words):
        text = asked(kind, f"{question} Answer in one word.")
        said = direct_logits(folders(kind), noises[place], text).softmax(-1)
        return sum(said[token(word)].item() for word in words)

    circle, square = (
        probability(0, "Is there a circle ?", "Yes", "yes"),
        probability(0, "Is there a square ?", "No", "no"),
    )
    expected = (circle + square) / 2 if mean == "arithmetic" else (circle * square) ** 0.5
    assert found[0] == pytest.approx(expected, rel=1e-3)
    assert found[1] == pytest.approx(probability(1, "Is there a circle ?", "Yes", "yes"), rel=1e-3)
    assert [answer["answer"] for answer in found[0].details["answers"]] == ["yes", "no"]
    assert found[0].details["answers"][1]["probability"] == pytest.approx(square, rel=1e-3)


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("byte_level", {"Yes", "ĠYes"}),
        ("llama", {"Yes", "▁Yes"}),
        ("unigram", {"Yes", "▁Yes"}),
        ("word_piece", {"Yes"}),
    ],
)
def test_a_word_has_a_token_with_a_blank_and_one_without(tmp_path, kind, expected):
    model = VisionLanguage(tiny_vision.llava(tmp_path, tiny_words.tokenizer(kind)), "float32")
    found = model._processor.tokenizer.convert_ids_to_tokens(model.spellings(["Yes"]))
    assert expected <= set(found)
    assert all(piece.strip("Ġ▁") and "Yes".startswith(piece.strip("Ġ▁")) for piece in found)


def test_a_word_without_a_token_is_refused_in_one_line(tmp_path):
    model = VisionLanguage(tiny_vision.llava(tmp_path), "float32")
    with pytest.raises(ValueError, match="has no token that begins 灯"):
        model.spellings(["灯"])


def test_a_served_model_is_asked_for_the_probabilities_of_its_first_tokens():
    says = {
        "Is it red": {" Yes": math.log(0.5), "yes": math.log(0.25), "No": math.log(0.2), "Y": math.log(0.05)},
        "How many": {"2": math.log(0.125), "Two": math.log(0.125), "three": math.log(0.5)},
        "What colour": {" pur": math.log(0.5), "pink": math.log(0.25), " p": math.log(0.25)},
    }
    asking = prompt(("Is it red?", "yes"), ("How many are there?", "two"), ("What colour is it?", "purple"))
    with ModelServer(lambda body, image, text: next(v for k, v in says.items() if text.startswith(k))) as server:
        machine = Compute(device="cpu", servers={"here": Server(url=server.url)})
        chosen = Reward(evaluator="soft_tifa", model="a/model", server="here")
        images = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
        (found,) = rewards.judged(rewards.from_params("faithfulness", chosen, machine), images, [asking])
    assert [answer["probability"] for answer in found.details["answers"]] == pytest.approx([0.75, 0.25, 0.5])
    assert found == pytest.approx(0.5)
    texts = [body["messages"][0]["content"][1]["text"] for body in server.bodies]
    assert sorted(texts)[0] == "How many are there? Answer in one word."


def test_a_mean_that_is_none_is_named():
    with pytest.raises(ValueError, match="mean 'harmonic' is none of arithmetic, geometric"):
        rewards.load("faithfulness", "soft_tifa", model="a/model", server="here", mean="harmonic")
