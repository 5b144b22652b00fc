"""Evaluators made of pretrained models: every formula against a direct computation with the same random model."""

import gc
import weakref
from functools import cache

import numpy as np
import pandas as pd
import pytest
import tiny_vision
import torch
import transformers
from PIL import Image

from versat2i import rewards
from versat2i.rewards.common.vlm import VisionLanguage

STEM = "The quality of the image is"  # of Q-Bench
TEXTS = ["a red circle", "two blue square", "a dark green circle or a red square", "a good photo", "a circle"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """``folders(name)``: a random model of that kind."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def folder(name):
        if name not in made:
            made[name] = getattr(tiny_vision, name)(root / name)
        return made[name]

    return folder


@pytest.fixture(scope="module")
def images():
    """Noise of five colours; the fourth is blank."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (5, 20, 20, 3))
    noise = (noise * rng.uniform(0.2, 1.0, (5, 1, 1, 3))).astype(np.uint8)
    noise[3] = 7
    return noise


@pytest.fixture(scope="module")
def prompts():
    return pd.DataFrame({"prompt_id": [f"p{i}" for i in range(5)], "text": TEXTS})


# -------------------------------------------------------------------------------------------- CLIP


def cosine(folder, image, text):
    """``logits_per_image / exp(logit_scale)`` of the model itself."""
    model, processor = (
        transformers.CLIPModel.from_pretrained(folder),
        transformers.CLIPProcessor.from_pretrained(folder),
    )
    inputs = processor(images=Image.fromarray(image), text=[text], return_tensors="pt")
    with torch.no_grad():
        return (model(**inputs).logits_per_image / model.logit_scale.exp()).item()


@pytest.mark.parametrize(
    "aspect, evaluator, prefix, value",
    [
        ("faithfulness", "clipscore", "A photo depicts ", lambda cosine: 2.5 * max(cosine, 0.0)),
        ("judges", "pickscore", "", lambda cosine: np.exp(2.6592) * cosine),  # the scale a CLIP starts with
        ("judges", "hpsv2", "", lambda cosine: cosine),
    ],
)
def test_a_clip_gives_the_cosine_of_an_image_and_its_own_text(
    folders, images, prompts, aspect, evaluator, prefix, value
):
    reward = rewards.load(aspect, evaluator, model=folders("clip"), batch_size=3)
    found = reward.score(images, prompts, None)
    for place in (0, 1, 2, 4):
        expected = value(cosine(folders("clip"), images[place], prefix + TEXTS[place]))
        assert found.values[place] == pytest.approx(expected, abs=1e-4)
    assert found.reasons == [None, None, None, "the image is blank", None]
    assert np.ptp(found.values[[0, 1, 2, 4]]) > 0.01
    low, high = reward.range
    assert low <= np.nanmin(found.values) <= np.nanmax(found.values) <= high


# -------------------------------------------------------------------------- vision-language models


@cache
def loaded(folder):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    return model, transformers.AutoProcessor.from_pretrained(folder)


def direct_logits(folder, image, prompt):
    """The next token's logits, one image at a time and without padding."""
    model, processor = loaded(folder)
    inputs = processor(images=Image.fromarray(image), text=prompt, return_tensors="pt")
    start = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(**inputs, **start).logits[0, -1].double()


def asked(kind, text, stem=""):
    if kind == "blip2":
        return f"Question: {text} Answer:{stem and ' ' + stem}"
    picture = "<|vision_start|><|image_pad|>" if kind == "qwen" else "<image>"
    return f"USER: {picture} {text} ASSISTANT:{stem and ' ' + stem}"


def token(word):
    return len(tiny_vision.SPECIAL) + tiny_vision.WORDS.index(word)


@pytest.mark.parametrize("kind", ["llava", "qwen", "blip2"])
def test_vqascore_is_the_probability_of_yes(folders, images, prompts, kind):
    reward = rewards.load("faithfulness", "vqascore", model=folders(kind), batch_size=3)
    found = reward.score(images, prompts, None).values
    for place in (0, 1, 2, 4):
        question = f'Does this figure show "{TEXTS[place]}"? Please answer yes or no.'
        logits = direct_logits(folders(kind), images[place], asked(kind, question))
        assert found[place] == pytest.approx(logits.softmax(-1)[token("Yes")].item(), rel=1e-3)
    assert np.isnan(found[3])
    assert np.nanstd(found) > 0.01 * np.nanmean(found)


@pytest.mark.parametrize(
    "kind, synonyms, stem",
    [
        ("llava", False, ""),
        ("llava", True, ""),
        ("llava", False, STEM),
        ("qwen", True, ""),
        ("qwen", False, STEM),
        ("blip2", True, STEM),
        ("blip2", False, ""),
    ],
)
def test_q_instruct_weighs_the_words_that_could_come_next(folders, images, prompts, kind, synonyms, stem):
    reward = rewards.load("low_level", "q_instruct", model=folders(kind), batch_size=2, synonyms=synonyms, stem=stem)
    found = reward.score(images, prompts, None).values
    words = [("good", "high", "fine"), ("average", "medium", "acceptable"), ("poor", "low", "bad")]
    for place in (0, 1, 2, 4):
        logits = direct_logits(folders(kind), images[place], asked(kind, "Rate the quality of the image.", stem))
        levels = [logits[[token(word) for word in level[: 3 if synonyms else 1]]].mean() for level in words]
        good, average, poor = np.exp(levels)
        assert found[place] == pytest.approx((good + average / 2) / (good + average + poor), rel=1e-3)
    assert np.isnan(found[3])


def test_words_that_begin_alike_are_an_error_that_names_them(folders):
    model = VisionLanguage(folders("llava"), "float32")
    with pytest.raises(ValueError, match="begins two of splendid, lousy with the same token"):
        model.first_tokens(["splendid", "lousy"], STEM)


# ------------------------------------------------------------------------------------ where and how long


@pytest.mark.parametrize(
    "aspect, evaluator, kind, holder",
    [
        ("judges", "pickscore", "clip", "clip"),
        ("faithfulness", "vqascore", "llava", "model"),
        ("low_level", "q_instruct", "blip2", "model"),
    ],
)
def test_a_model_goes_when_its_reward_goes(folders, images, prompts, aspect, evaluator, kind, holder):
    reward = rewards.load(aspect, evaluator, model=folders(kind))
    assert "_model" not in vars(getattr(reward, holder))  # loaded by the first image
    reward.score(images, prompts, None)
    model = weakref.ref(getattr(reward, holder)._model)
    assert model() is not None
    del reward
    gc.collect()
    assert model() is None


def test_all_is_computed_on_the_device_of_the_machine(folders, images, prompts, tmp_path, monkeypatch):
    """On `meta`, a device without numbers, everything runs up to where a number is to be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compute.yaml").write_text("device: meta\n")
    reward = rewards.load("judges", "pickscore", model=folders("clip"))
    with pytest.raises((NotImplementedError, RuntimeError), match=r"(Cannot copy out of|called on) meta tensor"):
        reward.clip.cosines(images, TEXTS)
    asker = VisionLanguage(folders("llava"), "float32")
    assert {parameter.device.type for parameter in asker._model.parameters()} == {"meta"}


def test_half_precision_is_what_params_say(folders, images, prompts):
    for dtype in ("float16", "bfloat16"):
        reward = rewards.load("low_level", "q_instruct", model=folders("llava"), dtype=dtype, batch_size=5)
        assert np.isfinite(reward.score(images, prompts, None).values[[0, 1, 2, 4]]).all()
        assert reward.model._model.dtype == getattr(torch, dtype)
