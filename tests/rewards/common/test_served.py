"""A model behind an OpenAI-compatible server, here a real one on loopback."""

import math

import numpy as np
import pytest
from model_server import ModelServer, shown

from versat2i.rewards.common import served
from versat2i.rewards.common.served import Question, Served
from versat2i.settings.compute import Server

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 5, 7, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Repetitions do not wait."""
    monkeypatch.setattr(served, "BACKOFF", 0.0)


def model(server, **options):
    system = options.pop("system", "")
    return Served("a/model", "here", {"here": Server(url=server.url, **options)}, system)


def brightness(body, image, text):
    return f"{text} {image.mean():.3f}"


def test_every_question_goes_with_its_own_image_and_answers_come_in_order():
    with ModelServer(brightness) as server:
        asked = [Question(image, f"how bright is {n}?") for n, image in enumerate(IMAGES)]
        found = model(server).replies(asked, 5)
    assert found == [f"how bright is {n}? {image.mean():.3f}" for n, image in enumerate(IMAGES)]
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("a/model", 0, 5)
    assert "logprobs" not in body and len(body["messages"]) == 1


def test_a_chat_may_begin_with_a_system_message_and_an_answer_with_a_stem():
    with ModelServer(brightness) as server:
        model(server, system="Be short.").replies([Question(IMAGES[0], "x", stem="It is")], 5)
    (body,) = server.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert body["messages"][2] == {"role": "assistant", "content": "It is"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert shown(body)[1] == "x"


def test_as_many_requests_are_under_way_as_compute_yaml_says():
    with ModelServer(brightness) as server:
        server.pause = 0.1
        model(server, requests=4).replies([Question(image, "x") for image in IMAGES], 5)
    assert server.most == 4


def test_first_tokens_are_probabilities_whatever_blanks_stand_around_them():
    said = {" Yes": math.log(0.5), "Yes": math.log(0.125), "ĠYes": math.log(0.0625), "yes": math.log(0.25)}
    with ModelServer(lambda *_: said) as server:
        (found,) = model(server).first_words([Question(IMAGES[0], "x")])
    assert found == pytest.approx({"Yes": 0.6875, "yes": 0.25})
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"], server.bodies[0]["max_tokens"]) == (
        True,
        20,
        1,
    )


@pytest.mark.parametrize("failure", [(503, "busy"), (429, "slow down"), (500, "oops"), None], ids=str)
def test_a_server_that_is_busy_or_hangs_up_is_asked_again(failure):
    with ModelServer(brightness) as server:
        server.failures = [failure] * 2
        assert model(server, attempts=3).replies([Question(IMAGES[0], "x")], 5) == [f"x {IMAGES[0].mean():.3f}"]
        assert len(server.bodies) == 3


def problem(server, ranked=False, **options):
    """The one line that a question ends with."""
    asked = [Question(IMAGES[0], "x")]
    with pytest.raises(ValueError) as error:
        model(server, **options).first_words(asked) if ranked else model(server, **options).replies(asked, 5)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_server_that_stays_busy_or_refuses_is_one_line_with_its_words():
    with ModelServer(brightness) as server:
        server.failures = [(503, "busy\nstill")] * 2
        assert problem(server, attempts=2).endswith("/v1/chat/completions answers 503 Service Unavailable: busy still")
        assert len(server.bodies) == 2
        server.failures = [(400, '{"error": "no such model"}')]
        assert "answers 400 Bad Request: " in problem(server) and len(server.bodies) == 3


def test_a_server_that_does_not_answer_in_time_is_one_line():
    with ModelServer(brightness) as server:
        server.pause = 1.0
        told = problem(server, attempts=2, timeout=0.1)
        assert "gave no answer in 2 attempts of 0.1 s at most (Read timed out." in told
        assert len(server.bodies) == 2


def test_a_server_that_is_not_there_is_one_line():
    with ModelServer(brightness) as server:
        pass
    assert "Connection refused). Does it run?" in problem(server, attempts=1)


@pytest.mark.parametrize("text", ["<html>", "[]", '{"choices": []}'])
def test_an_answer_that_is_no_completion_is_shown(text):
    with ModelServer(brightness) as server:
        server.failures = [(200, text)]
        assert f"answers {text!r}, expected a chat completion" in problem(server)


def test_a_server_without_log_probabilities_says_what_to_start_it_with():
    with ModelServer(brightness) as server:
        assert "no log-probabilities of its first token. Start the server" in problem(server, ranked=True)


def test_the_key_comes_from_the_environment(monkeypatch):
    with ModelServer(brightness) as server:
        monkeypatch.setenv("A_KEY", "secret")
        model(server, key="A_KEY").replies([Question(IMAGES[0], "x")], 5)
        assert server.headers["Authorization"] == "Bearer secret"
        monkeypatch.delenv("A_KEY")
        assert "the environment variable A_KEY is to hold its key, and does not" in problem(server, key="A_KEY")


def test_a_server_that_compute_yaml_does_not_name_is_one_line():
    with pytest.raises(ValueError, match=r"compute\.yaml: servers has no 'here'\. Say where a/model is served"):
        Served("a/model", "here").replies([Question(IMAGES[0], "x")], 5)


def test_a_server_without_the_model_says_which_it_has():
    with ModelServer(brightness) as server:
        model(server).expect()
        other = Served("a/modell", "here", {"here": Server(url=server.url)})
        with pytest.raises(
            ValueError, match=r"a/modell at server 'here': it serves a/model\. Did you mean 'a/model'\?"
        ):
            other.expect()
