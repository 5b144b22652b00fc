"""An evaluator that does not load, or does not tell a sharp picture from noise, is found before a run."""

import numpy as np
import pytest
import tiny_vision
import tiny_words
import torch
from model_server import ModelServer
from tried import found, settings

from versat2i import rewards
from versat2i.rewards import low_level
from versat2i.rewards.common.vlm import Asks, VisionLanguage
from versat2i.settings.compute import Server
from versat2i.tools import check, trial


class Constant:
    """Likes everything."""

    name, metric, higher_is_better, range, licence = "constant", "constant", True, (0.0, 1.0), "none"
    value = staticmethod(lambda image: 0.5)

    def score(self, images, prompts):
        return [self.value(image) for image in images]


class Roughness(Constant):
    """Likes noise."""

    value = staticmethod(lambda image: np.abs(np.diff(image.astype(float), axis=0)).mean() / 255)


class Smoothness(Roughness):
    higher_is_better = False


class Broken(Constant):
    def __init__(self):
        raise ImportError("No module named 'pkg_resources'")


@pytest.mark.parametrize(
    ("evaluator", "advice"),
    [
        (Constant, "chosen does not tell a sharp picture from noise"),
        (Roughness, "chosen does not tell a sharp picture from noise"),
        (Broken, "ImportError: No module named 'pkg_resources'"),
        (Smoothness, None),
    ],
)
def test_an_evaluator_has_to_load_and_to_tell_sharp_from_noisy(monkeypatch, evaluator, advice):
    monkeypatch.setitem(low_level.EVALUATORS, "chosen", f"{__name__}:{evaluator.__name__}")
    whole = settings("nowhere", evaluator="chosen")
    finding = found(whole)["low_level"]
    assert finding.advice is None if advice is None else advice in finding.advice


def test_an_evaluator_that_abstains_on_the_photograph_is_tried_on_the_drawing():
    finding = check._tells_apart("judge", "second_reader", rewards.load("judges", "second_reader"))
    assert finding.advice is None and repr(trial.PROMPT) in finding.found


# ------------------------------------------------------------------------------------- answers of language models


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """A random LLaVA that reads by byte-level BPE, where " Yes" and "Yes" are two tokens."""
    folder = tmp_path_factory.mktemp("vlm")
    return tiny_vision.llava(folder, tiny_words.tokenizer("byte_level"))


def sure_of(monkeypatch, piece):
    """Whatever is asked, a model's next token is this one."""

    def next_logits(self, images, texts, stem=""):
        tokenizer = self._processor.tokenizer
        logits = torch.zeros(len(images), len(tokenizer))
        logits[:, tokenizer.convert_tokens_to_ids(piece)] = 50.0
        return logits

    monkeypatch.setattr(VisionLanguage, "next_logits", next_logits)


def answers(aspect, evaluator, folder, **options):
    return check._answers(rewards.load(aspect, evaluator, model=folder, **options))


def test_the_token_that_a_model_answers_with_is_the_one_that_is_read(byte_level, monkeypatch):
    sure_of(monkeypatch, "ĠYes")
    finding = answers("faithfulness", "vqascore", byte_level)
    assert finding.advice is None
    assert finding.found == "vqascore: of an answer's first token 1 is Yes or No, most is ' Yes'"


def test_a_first_token_that_is_read_without_its_blank_is_found(byte_level, monkeypatch):
    sure_of(monkeypatch, "ĠYes")
    monkeypatch.setattr(VisionLanguage, "_gap", lambda *_: "")
    assert "spells ' Yes' with another token" in answers("faithfulness", "vqascore", byte_level).advice


def test_a_model_that_begins_its_answers_otherwise_wants_a_stem(byte_level, monkeypatch):
    sure_of(monkeypatch, "The")
    assert "begin its answer with a `stem`" in answers("low_level", "q_instruct", byte_level).advice
    sure_of(monkeypatch, "Ġgood")
    assert answers("low_level", "q_instruct", byte_level, stem="The quality of the image is").advice is None


def test_a_llava_that_is_not_told_what_it_was_trained_to_read_is_found(byte_level, monkeypatch):
    sure_of(monkeypatch, "ĠYes")
    assert "leave `system` out" in answers("faithfulness", "vqascore", byte_level, system="").advice
    monkeypatch.setattr(VisionLanguage, "is_llava", False)
    assert "leave `system` out" in answers("faithfulness", "vqascore", byte_level).advice


def test_a_word_that_is_read_in_any_spelling_is_fine_in_each(byte_level, monkeypatch):
    for piece in ("Yes", "ĠYes"):
        sure_of(monkeypatch, piece)
        assert answers("faithfulness", "soft_tifa", byte_level).advice is None
    sure_of(monkeypatch, "The")
    assert "does not answer with these words" in answers("faithfulness", "soft_tifa", byte_level).advice


@pytest.mark.parametrize("evaluator, word", [("vqascore", " Yes"), ("soft_tifa", "no"), ("levels", "poor")])
def test_a_served_model_is_asked_too(evaluator, word):
    said = {word: -0.1, "The": -3.0}
    with ModelServer(lambda *_: said) as server:
        servers = {"here": Server(url=server.url)}
        reward = rewards.load("faithfulness", evaluator, model="a/model", server="here", servers=servers)
        assert isinstance(reward, Asks) and check._answers(reward).advice is None
        said[word] = -9.0
        finding = check._answers(reward)
    assert "does not answer with these words" in finding.advice and "most is 'The'" in finding.found


def test_each_language_model_of_params_is_asked(byte_level, monkeypatch):
    sure_of(monkeypatch, "The")
    whole = settings("nowhere", evaluator="q_instruct", model=byte_level)
    assert list(found(whole)) == ["model", "low_level", "answers"]


# ------------------------------------------------------------------------------------- judges


def test_a_judge_that_does_not_judge_the_most_blurred_is_found():
    judge = rewards.load("judges", "piqe", min_active=32)
    assert check._tells_apart("judge", "piqe", judge).advice is None
    assert "no score of a blurred copy of 'a photo of a cat'" in check._judges_blur(judge).found
    assert "look better than they are" in check._judges_blur(judge).advice
    assert check._judges_blur(rewards.load("judges", "piqe")).advice is None
