"""What SDXL alone needs: a decoder in float32, and no watermark."""

import pytest
import tiny_families
import torch
from diffusers.configuration_utils import FrozenDict

from versat2i.models import diffusion
from versat2i.settings.params import Model


@pytest.fixture(scope="module")
def xl_folder(tmp_path_factory):
    return tiny_families.folder("sdxl", tmp_path_factory.mktemp("xl") / "sdxl")


def test_the_decoder_of_sdxl_stays_in_float32_where_it_would_overflow(xl_folder):
    half = diffusion.load(Model(path=str(xl_folder), dtype="float16", threads=1))
    assert half.denoiser.dtype == torch.float16 and half.pipe.vae.dtype == torch.float32
    assert half.decode(torch.full((1, 4, 16, 16), 60.0)).shape == (1, 32, 32, 3)
    wide = diffusion.load(Model(path=str(xl_folder), dtype="bfloat16", threads=1))
    assert wide.pipe.vae.dtype == torch.bfloat16


def test_sdxl_never_marks_its_images(xl_folder):
    loaded = diffusion.load(Model(path=str(xl_folder), dtype="float32", threads=1))
    assert loaded.pipe.watermark is None and loaded.options == {"add_watermarker": False}


@pytest.fixture(scope="module")
def xl(xl_folder):
    return diffusion.load(Model(path=str(xl_folder), dtype="float32", threads=1))


def test_an_image_is_told_to_be_whole_and_of_its_own_size(xl):
    """A latent is as many pixels wide as the decoder enlarges it; nothing is cropped."""
    factor = xl.pipe.vae_scale_factor
    ids = xl._time_ids(torch.zeros(2, 4, 16, 12))
    assert ids.tolist() == [[16 * factor, 12 * factor, 0, 0, 16 * factor, 12 * factor]] * 2


def test_the_empty_prompt_is_zero_where_the_pipeline_says_so(xl):
    told = xl.embed(["", "a red circle"])
    assert xl.pipe.config.force_zeros_for_empty_prompt
    assert not told.hidden[0].any() and not told.pooled[0].any()
    assert told.hidden[1].any() and told.pooled[1].any()


def test_latents_with_a_mean_and_a_deviation_a_channel_are_moved_back(xl, monkeypatch):
    """``z deviation / scale + mean``, channel by channel."""
    config = dict(xl.pipe.vae.config) | {"latents_mean": [0.0, 1.0, 2.0, 3.0], "latents_std": [1.0, 2.0, 3.0, 4.0]}
    config["scaling_factor"] = 0.5
    monkeypatch.setattr(type(xl.pipe.vae), "config", FrozenDict(config))
    found = xl._unscaled(torch.full((1, 4, 1, 1), 10.0))
    assert found.flatten().tolist() == [20.0, 41.0, 62.0, 83.0]
