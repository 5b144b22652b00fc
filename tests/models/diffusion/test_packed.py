"""Four latents in a token, and back."""

import torch
from diffusers import FluxPipeline

from versat2i.models.diffusion.packed import pack, unpack


def test_a_token_is_a_square_of_latents_channel_by_channel():
    latents = torch.tensor([[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]])
    assert pack(latents).tolist() == [[[1, 2, 3, 4, 5, 6, 7, 8]]]


def test_tokens_are_those_of_the_pipeline_and_come_back():
    latents = torch.randn(2, 3, 6, 4)
    tokens = pack(latents)
    assert torch.equal(tokens, FluxPipeline._pack_latents(latents, 2, 3, 6, 4))
    assert torch.equal(unpack(tokens, 6, 4), latents)


def test_the_side_of_latents_follows_the_images(flow):
    model = flow("flux")
    assert model.latent_shape(32) == (4, 16, 16) and model.latent_shape(64) == (4, 32, 32)
    assert model.latent_shape(None) == (4, 128, 128)  # the pipeline's own 128, as `default_sample_size` has it
