"""What Z-Image alone needs: the image before the text, each text of its own length, a scale that starts at 0."""

import torch

from versat2i.models.diffusion import z_image


def test_the_image_comes_first_then_the_text_then_padding():
    """Texts of 2 and 1 tokens are filled up to 32; the image has 3 tokens."""
    mask = torch.tensor([[True, True], [True, False]])
    found = z_image.image_then_text(mask, 35)
    assert found.shape == (2, 35)
    assert found[:, :5].tolist() == [[True] * 5, [True] * 4 + [False]] and not found[:, 5:].any()


def test_no_guidance_is_the_pipelines_zero():
    assert z_image.ZImage.scale(1.0) == {"guidance_scale": 0.0}
    assert z_image.ZImage.scale(5.0) == {"guidance_scale": 4.0}


def test_a_call_says_how_long_its_texts_are(flow):
    model = flow("z_image")
    found = model._call_mask({"cap_feats": [torch.zeros(3, 16), torch.zeros(1, 16)]})
    assert found.tolist() == [[True, True, True], [True, False, False]]
