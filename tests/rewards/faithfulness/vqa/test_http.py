"""A VQA behind an OpenAI-compatible server on loopback, as params name it."""

import numpy as np
import pytest
from model_server import ModelServer

from versat2i import rewards
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)


def made(where, **options):
    machine = Compute(device="cpu", servers={"here": Server(url=where.url, attempts=1)})
    return rewards.from_params("faithfulness", Reward(evaluator="tifa", **options), machine)


def asked(question, choices, answer):
    return {
        "question_id": question,
        "question": question,
        "choices": choices,
        "answer": answer,
        "element_type": "object",
        "parent_ids": [],
    }


@pytest.mark.parametrize("told", [False, True])
def test_tifa_asks_a_served_vqa_each_question_about_each_image(told):
    def says(body, image, text):
        if "How many" in text:
            return "Two." if image[0, 0, 0] == IMAGES[0, 0, 0, 0] else "three"
        return "yes"

    questions = [asked("Is there a cat?", ["yes", "no"], "yes"), asked("How many cats?", ["two", "three"], "two")]
    with ModelServer(says) as server:
        tifa = made(server, vqa="http", model="a/model", server="here", choices=told)
        found = rewards.judged(tifa, IMAGES, [rewards.Prompt("p", "two cats", questions)] * 2)
    assert found == [1.0, 0.5]
    assert found[0].details["answers"][1]["answer"] == "two"
    texts = sorted({body["messages"][0]["content"][1]["text"] for body in server.bodies})
    suffix = "\nAnswer the question using a single word or phrase."
    if told:
        assert texts == [f"How many cats? Choices: two, three{suffix}", f"Is there a cat? Choices: yes, no{suffix}"]
    else:
        assert texts == [f"How many cats?{suffix}", f"Is there a cat?{suffix}"]
    assert len(server.bodies) == 4
