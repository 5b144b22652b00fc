"""A judge behind an OpenAI-compatible server on loopback, as params name it."""

import drawn
import numpy as np
import pytest
from model_server import ModelServer
from scored import NO_QUESTIONS

from versat2i import rewards
from versat2i.formats import shards
from versat2i.rewards.common import registry, scoring
from versat2i.settings.compute import Compute, Server
from versat2i.settings.params import Reward

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
JUDGE = {
    "evaluator": "http",
    "model": "a/model",
    "server": "here",
    "metric": "alignment",
    "question": "Does it show {prompt}? Rate it {from 1 to 5}.",
    "pattern": r"Score: ([\d.]+)",
    "range": [1, 5],
}


def made(where, aspect="judges", **options):
    machine = Compute(device="cpu", servers={"here": Server(url=where.url, attempts=1)})
    return rewards.from_params(aspect, Reward(**options), machine)


def prompts(*texts):
    return [rewards.Prompt(f"p{place}", text) for place, text in enumerate(texts)]


def test_the_score_is_the_last_number_that_the_pattern_finds():
    replies = {"a cat": "Score: 1 at first, but then\nScore: 4.5", "a dog": "I cannot tell", "a cow": "Score: 7"}

    def says(body, image, text):
        return next(reply for prompt, reply in replies.items() if prompt in text)

    with ModelServer(says) as server:
        judge = made(server, **JUDGE)
        good, none, outside = rewards.judged(judge, IMAGES, prompts(*replies))
    assert (good, good.details) == (4.5, {"reply": replies["a cat"]})
    assert none == "no number in the reply ('I cannot tell')"
    assert outside == "7 is not within 1 to 5 ('Score: 7')"
    assert {body["messages"][0]["content"][1]["text"] for body in server.bodies} == {
        f"Does it show {text}? Rate it {{from 1 to 5}}." for text in replies
    }
    assert (judge.metric, judge.range, judge.name) == ("alignment", (1, 5), "http")


def test_what_it_measures_is_known_without_a_server():
    measure = registry.measure("judges", Reward(**JUDGE), selects=False)
    assert (measure.metric, measure.range) == ("alignment", (1.0, 5.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pattern": "("}, "is no regular expression"),
        ({"pattern": "Score"}, "has no group"),
        ({"range": [5, 1]}, "range .5, 1. is none"),
        ({"servers": {}}, "option 'servers' differs between machines. Say it in compute.yaml"),
    ],
)
def test_a_wrong_option_is_one_line(wrong, message):
    with pytest.raises(ValueError, match=message):
        rewards.from_params("judges", Reward(**JUDGE | wrong))


def test_scores_belong_to_model_and_question_wherever_the_model_is_served(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    drawn.pool(tmp_path / "pool")
    unit = (shards.paths(tmp_path / "pool")[0],)

    def score(server, **options):
        machine = Compute(device="cpu", servers={"here": Server(url=server.url)})
        chosen = Reward(**JUDGE | options)
        return scoring.Recipe("judges", chosen, drawn.TEXTS, NO_QUESTIONS, machine)()(unit)

    with ModelServer(lambda *_: "Score: 2") as first, ModelServer(lambda *_: "Score: 3") as second:
        scores, new = score(first)
        assert new and set(scores["score"]) == {2.0}
        scores, new = score(second)
        assert not new and set(scores["score"]) == {2.0} and second.bodies == []
        for changed in ({"model": "another/model"}, {"question": "Is it good?"}):
            scores, new = score(second, **changed)
            assert new and set(scores["score"]) == {3.0}
