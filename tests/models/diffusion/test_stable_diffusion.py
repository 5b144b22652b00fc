"""Stable Diffusion 1 and 2: one text encoder, whose last states the UNet is told."""

import torch


def test_a_prompt_is_the_last_states_of_its_tokens(loaded):
    pipe = loaded.pipe
    ids = pipe.tokenizer(
        "a red circle", padding="max_length", max_length=pipe.tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    embedded = loaded.embed(["a red circle"])
    with torch.no_grad():
        torch.testing.assert_close(embedded.hidden, pipe.text_encoder(ids).last_hidden_state)
    assert embedded.pooled is None and embedded.hidden.shape[:2] == ids.shape


def test_latents_are_divided_by_the_scale_that_they_were_multiplied_with(loaded):
    scale = loaded.pipe.vae.config.scaling_factor
    torch.testing.assert_close(loaded._unscaled(torch.full((1, 4, 2, 2), 3.0)), torch.full((1, 4, 2, 2), 3.0 / scale))


def test_the_pipeline_checks_nothing_by_itself(loaded):
    """A checker would black images out unasked."""
    assert loaded.options == {"safety_checker": None} and loaded.pipe.safety_checker is None
