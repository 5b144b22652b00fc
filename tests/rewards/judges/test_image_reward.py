"""ImageReward, from a file in the format of its authors, against a direct computation with transformers."""

import os

import numpy as np
import pandas as pd
import published_image_reward
import pytest
import tiny_vision
import torch
from scored import scored

from versat2i import rewards
from versat2i.rewards.judges.image_reward import FILE

TEXTS = ["a red circle", "two blue square", "a dark green circle or a red square"]


@pytest.fixture(scope="module")
def parts():
    """The three parts of a random ImageReward."""
    return published_image_reward.parts()


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    """The same, as its authors publish it."""
    root = tmp_path_factory.mktemp("image_reward")
    weights = published_image_reward.weights(*parts)
    weights["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    weights["blip.text_decoder.bert.something"] = torch.zeros(1)  # of BLIP's pretraining, not used
    torch.save(weights, root / FILE)
    tiny_vision.tokenizer("[BOS] $A [EOS]").save_pretrained(root / "words")
    return root


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def prompts():
    return pd.DataFrame({"prompt_id": ["p0", "p1", "p2"], "text": TEXTS})


def load(folder):
    return rewards.load("judges", "image_reward", model=str(folder), tokenizer=str(folder / "words"), batch_size=2)


def test_the_reward_is_the_standardised_output_of_the_mlp(parts, folder, images):
    vision, text, mlp = parts
    found = scored(load(folder), images, prompts())
    mean, deviation = np.array([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])
    for image, words, value in zip(images, TEXTS, found.values, strict=True):
        pixels = torch.tensor((image / 255 - mean) / deviation, dtype=torch.float32).permute(2, 0, 1)[None]
        ids = tiny_vision.tokenizer("[BOS] $A [EOS]")(words, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            state = text(ids, encoder_hidden_states=vision(pixels).last_hidden_state).last_hidden_state[:, 0]
            for layer in mlp.values():
                state = layer(state)
        assert value == pytest.approx((state.item() - 0.16717362830052426) / 1.0333394966054072, abs=1e-4)
    assert np.ptp(found.values) > 1e-3


def test_a_long_prompt_is_cut_and_that_is_said_once(folder, images, caplog):
    long = prompts().assign(text=" ".join(["circle"] * 100))
    assert np.isfinite(scored(load(folder), images, long).values).all()
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("versat2i")]
    assert said.startswith(f"{folder} reads 35 tokens: of a longer prompt it judges the beginning alone (first: ")
    assert "'circle circle circle" in said and "\n" not in said


def test_a_file_with_other_weights_or_without_is_one_clear_line(folder, tmp_path, images):
    reward = rewards.load("judges", "image_reward", model=str(tmp_path), tokenizer=str(folder / "words"))
    with pytest.raises(ValueError, match=r"ImageReward\.pt cannot be read as tensors"):
        scored(reward, images, prompts())
    torch.save({"blip.visual_encoder.cls_token": torch.zeros(1)}, tmp_path / FILE)
    with pytest.raises(ValueError, match=r"ImageReward\.pt does not hold the weights of ImageReward"):
        scored(reward, images, prompts())


def test_a_file_that_would_run_code_is_refused(folder, tmp_path, images):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harm'}",)

    torch.save({"blip": Harm()}, tmp_path / FILE)
    reward = rewards.load("judges", "image_reward", model=str(tmp_path), tokenizer=str(folder / "words"))
    with pytest.raises(ValueError, match="cannot be read as tensors"):
        scored(reward, images, prompts())
    assert not (tmp_path / "harm").exists()
