"""What SDXL alone needs: a decoder in float32, and no watermark."""

import pytest
import tiny_families
import torch

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
