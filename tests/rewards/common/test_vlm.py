"""Evaluators made of pretrained models: every formula against a direct computation with the same random model."""

import gc
import weakref

import numpy as np
import pytest
import torch
from direct import STEM, TEXTS, asked
from scored import scored

from versat2i import rewards
from versat2i.rewards.common.vlm import VisionLanguage


@pytest.mark.parametrize("evaluator, user", [("vqascore", "user"), ("q_instruct", "human")])
def test_a_llava_is_told_what_it_was_trained_to_read_first_unless_params_say_otherwise(folders, evaluator, user):
    def prompt(kind, **options):
        aspect = "faithfulness" if evaluator == "vqascore" else "low_level"
        return rewards.load(aspect, evaluator, model=folders(kind), **options).model._prompt("a question", "")

    assert prompt("llava") == asked("llava", "a question", llava=user)
    assert prompt("llava", system="") == asked("llava", "a question", llava="")
    assert prompt("llava", system="Be short.") == "Be short. " + asked("llava", "a question", llava="")
    assert prompt("qwen") == asked("qwen", "a question")
    assert prompt("qwen", system="Be short.") == "Be short. " + asked("qwen", "a question")


def test_words_that_begin_alike_are_an_error_that_names_them(folders):
    model = VisionLanguage(folders("llava"), "float32", device="meta")
    with pytest.raises(ValueError, match="begins two of good, good with the same token"):
        model.first_tokens(["good", "good"], "a question", STEM)


@pytest.mark.parametrize(
    "aspect, evaluator, kind, holder",
    [
        ("judges", "pickscore", "clip", "clip"),
        ("faithfulness", "vqascore", "llava", "model"),
        ("low_level", "q_instruct", "blip2", "model"),
    ],
)
def test_a_model_goes_when_its_reward_goes(folders, noises, captions, aspect, evaluator, kind, holder):
    reward = rewards.load(aspect, evaluator, model=folders(kind))
    assert "_model" not in vars(getattr(reward, holder))  # loaded by the first image
    scored(reward, noises, captions)
    model = weakref.ref(getattr(reward, holder)._model)
    assert model() is not None
    del reward
    gc.collect()
    assert model() is None


def test_all_is_computed_on_the_device_of_the_machine(folders, noises, captions):
    """On `meta`, a device without numbers, everything runs up to where a number is to be read."""
    reward = rewards.load("judges", "pickscore", model=folders("clip"), device="meta")
    with pytest.raises((NotImplementedError, RuntimeError), match=r"(Cannot copy out of|called on) meta tensor"):
        reward.clip.cosines(noises, TEXTS)
    asker = VisionLanguage(folders("llava"), "float32", device="meta")
    assert {parameter.device.type for parameter in asker._model.parameters()} == {"meta"}


def test_half_precision_is_what_params_say(folders, noises, captions):
    for dtype in ("float16", "bfloat16"):
        reward = rewards.load("low_level", "q_instruct", model=folders("llava"), dtype=dtype, batch_size=5)
        assert np.isfinite(scored(reward, noises, captions).values[[0, 1, 2, 4]]).all()
        assert reward.model._model.dtype == getattr(torch, dtype)
