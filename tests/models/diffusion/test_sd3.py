"""Stable Diffusion 3: T5's tokens follow CLIP's, and latents have an offset."""

import pytest
import tiny_families
import torch

from versat2i.models import diffusion
from versat2i.models.diffusion.sd3 import T5_TOKENS
from versat2i.settings.params import Model


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    folder = tiny_families.folder("sd35", tmp_path_factory.mktemp("sd3") / "sd35")
    return diffusion.load(Model(path=str(folder), dtype="float32", threads=1))


def test_the_mask_counts_clips_tokens_first_and_then_those_of_t5(sd3):
    clip = sd3.pipe.tokenizer.model_max_length
    mask = sd3.text_mask(["a red circle"])
    assert mask.shape == (1, clip + T5_TOKENS)
    assert mask[0, :clip].sum() == 5  # a begin, three words, an end
    assert mask[0, clip:].sum() == len(sd3.pipe.tokenizer_3("a red circle").input_ids)


def test_without_t5_none_of_its_tokens_is_text(sd3, monkeypatch):
    monkeypatch.setattr(sd3.pipe, "tokenizer_3", None)
    clip = sd3.pipe.tokenizer.model_max_length
    mask = sd3.text_mask(["a red circle", ""])
    assert mask.shape == (2, clip + T5_TOKENS) and not mask[:, clip:].any()
    assert mask[:, :clip].sum(1).tolist() == [5, 2]


def test_latents_are_unscaled_and_moved_back(sd3):
    config = sd3.pipe.vae.config
    assert config.shift_factor
    found = sd3._unscaled(torch.full((1, 4, 2, 2), 3.0))
    torch.testing.assert_close(found, torch.full((1, 4, 2, 2), 3.0 / config.scaling_factor + config.shift_factor))
