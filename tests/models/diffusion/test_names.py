"""The name of a layer says what it reads and where it stands, in a UNet and in a transformer."""

import pytest
import torch

from versat2i.models.diffusion import names

UNET = "down_blocks.1.attentions.0.transformer_blocks.3."


@pytest.mark.parametrize(
    "module, text",
    [
        (f"{UNET}attn2.to_k", True),
        (f"{UNET}attn2.to_v", True),
        (f"{UNET}attn2.to_q", False),  # the image asks
        (f"{UNET}attn2.to_out.0", False),
        (f"{UNET}attn1.to_k", False),
        (f"{UNET}ff.net.2", False),
        ("transformer_blocks.7.attn.add_q_proj", True),
        ("transformer_blocks.7.attn.add_v_proj", True),
        ("transformer_blocks.7.attn.to_add_out", True),
        ("transformer_blocks.7.attn.to_k", False),
        ("transformer_blocks.7.attn2.to_k", False),  # the image looks at itself once more
        ("transformer_blocks.7.ff_context.net.0.proj", True),
        ("transformer_blocks.7.ff.net.0.proj", False),
        ("down_blocks.0.resnets.0.conv1", False),
    ],
)
def test_keys_and_values_of_cross_attention_and_the_layers_of_the_text_read_text(module, text):
    assert (names.STABLE.layout(module) is not None) is text


def test_the_denoiser_is_told_by_the_names_of_its_layers():
    assert names.denoiser_of([f"{UNET}attn1.to_q", "mid_block.resnets.0.conv1"]) == "unet"
    assert names.denoiser_of(["transformer_blocks.7.attn.to_q"]) == "transformer"
    assert names.denoiser_of(["single_transformer_blocks.7.attn.to_q"]) == "transformer"  # FLUX
    assert names.denoiser_of(["layers.7.attention.to_q"]) == "transformer"  # Z-Image


def test_text_then_image_is_read_but_for_the_texts_padding():
    mask = torch.tensor([[True, False]])
    assert names.text_then_image(mask, 4).tolist() == [[True, False, True, True]]
    assert names.text_padded(mask, 3).tolist() == [[True, False, False]]
