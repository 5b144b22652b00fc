"""What FLUX.1 alone needs: guidance as an input, and none in schnell."""

import pytest
import torch
from diffusers import FluxPipeline

from versat2i.models.diffusion import flux


def test_schnell_refuses_a_guidance_that_it_does_not_have(flow):
    model = flow("schnell")
    with pytest.raises(
        ValueError, match=r"guidance_scale: 3\.5; this FluxPipeline was distilled to need none\. Set it to 1"
    ):
        model.draw(model.embed(["a red circle"]), model.embed([""]), [0], 1, 3.5, 32)
    assert not model.guided and flow("flux").guided


def test_a_size_that_makes_no_whole_tokens_is_refused(flow):
    model = flow("schnell")
    with pytest.raises(ValueError, match="size: 30 pixels; the sides of this model's images are multiples of 4"):
        model.draw(model.embed(["a red circle"]), model.embed([""]), [0], 1, 1.0, 30)


def test_positions_are_row_and_column():
    expected = FluxPipeline._prepare_latent_image_ids(1, 2, 3, "cpu", torch.float32)
    assert torch.equal(flux.position_ids(2, 3, torch.zeros(1)), expected)
    assert expected.tolist()[4] == [0, 1, 1]


def test_the_denoiser_is_told_the_pipelines_own_guidance_in_training(flow):
    model = flow("flux")
    told = []
    model.denoiser.register_forward_pre_hook(
        lambda module, args, kwargs: told.append(kwargs["guidance"].tolist()), with_kwargs=True
    )
    with torch.no_grad():
        model.predict(torch.zeros(1, 4, 16, 16), torch.tensor([500.0]), model.embed(["a red circle"]))
    assert told == [[3.5]]


def test_adapters_of_its_feed_forward_layers_leave_the_last_projection_alone(flow):
    from versat2i.adapters import lora

    model = flow("flux")
    lora.attach(model.denoiser, "all", 2, 2.0, "attention+feedforward", 0)
    found = set(lora.extract(model.denoiser, "all", 2.0, {}).down)
    assert {"single_transformer_blocks.0.proj_mlp", "single_transformer_blocks.0.proj_out"} <= found
    assert "proj_out" not in found and "transformer_blocks.0.ff_context.net.2" in found
