"""The frozen pipeline draws what plain diffusers draws, and refuses what it cannot read or compute."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from versat2i.models import diffusion
from versat2i.models.diffusion import running
from versat2i.settings.params import Model


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_an_image_is_the_one_that_plain_diffusers_draws(loaded, model_folder, guidance_scale):
    plain = StableDiffusionPipeline.from_pretrained(model_folder)
    expected = plain(
        "a red circle",
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=2,
        guidance_scale=guidance_scale,
    ).images[0]
    latents = loaded.draw(loaded.embed(["a red circle"]), loaded.embed([""]), [7], 2, guidance_scale)
    np.testing.assert_array_equal(loaded.decode(latents)[0], np.asarray(expected))


def test_an_image_depends_on_its_own_seed_and_prompt_only(loaded):
    prompts, empty = loaded.embed(["a red circle", "a blue star", "two green hearts"]), loaded.embed([""])
    together = loaded.draw(prompts, empty, [1, 2, 3], 2, 4.0)
    alone = loaded.draw(prompts[torch.tensor([1])], empty, [2], 2, 4.0)
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)
    other = loaded.draw(prompts[torch.tensor([1])], empty, [4], 2, 4.0)
    assert (other - alone).abs().max() > 0.1


def test_embeddings_do_not_depend_on_the_batch_that_they_are_made_in(loaded):
    texts = ["a red circle", "", "two blue squares on a navy background"]
    whole, single = loaded.embed(texts), loaded.embed(texts, batch_size=1)
    torch.testing.assert_close(whole.hidden, single.hidden)
    assert torch.equal(whole.mask, single.mask)


def test_text_ends_with_the_first_end_mark(loaded):
    texts = ["", "a red circle", "two small blue squares on a navy background", "a red circle and " * 20]
    tokenizer = loaded.pipe.tokenizer
    mask, length = loaded.text_mask(texts), tokenizer.model_max_length
    assert mask.dtype == torch.bool and mask.shape == (4, length)
    assert mask.sum(1).tolist() == [2, 5, 10, length]  # its words, a start and an end mark
    for text, row in zip(texts, mask, strict=True):
        ids = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert row.tolist() == [position <= ids.index(tokenizer.eos_token_id) for position in range(length)]


def test_a_word_that_the_model_does_not_know_is_named(loaded):
    with pytest.raises(ValueError, match=r"'dragon' is not a word that this model knows \(in 'a red dragon'\)"):
        loaded.embed(["a red circle", "a red dragon"])
    with pytest.raises(ValueError, match=r"'!' is not a word"):
        loaded.embed(["a red circle!"])


def test_a_word_that_is_only_a_piece_of_known_words_is_unknown(loaded):
    """ "low</w>" is one token, made on the way to "yellow"."""
    with pytest.raises(ValueError, match="'low' is not a word"):
        loaded.embed(["a low circle"])


def test_a_model_with_an_open_vocabulary_spells_words_out(loaded, monkeypatch):
    monkeypatch.delitem(loaded.pipe.tokenizer.init_kwargs, "closed_vocabulary")
    assert loaded.embed(["a red dragon"]).mask.sum() > 5


def test_pixels_are_rounded_and_clipped(loaded, monkeypatch):
    """Decoded values -2, -1, 0, 1, 2 are 0, 0, 127.5, 255, 255."""
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    decoded = values[None, None, None].expand(1, 3, 5, 5).clone()
    monkeypatch.setattr(loaded.pipe.vae, "decode", lambda *args, **kwargs: (decoded,))
    assert loaded.decode(torch.zeros(1, 4, 2, 2))[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_an_image_that_is_not_finite_is_an_error(loaded):
    with pytest.raises(ValueError, match=r"not finite; try model.dtype: float32"):
        loaded.decode(torch.full((1, 4, 16, 16), torch.nan))


def test_the_base_is_frozen(loaded):
    parts = (loaded.pipe.vae, loaded.pipe.unet, loaded.pipe.text_encoder)
    assert not any(parameter.requires_grad for part in parts for parameter in part.parameters())
    assert not any(part.training for part in parts)


def test_mixed_precision_answers_in_float32_and_nearly_the_same(model_folder, monkeypatch):
    monkeypatch.setattr(running, "multiplies_in", lambda dtype, device: True)
    settings = Model(path=str(model_folder), dtype="float32", threads=1)
    exact, mixed = (
        diffusion.load(settings.model_copy(update=change)) for change in ({}, {"mixed_precision": "bfloat16"})
    )
    prompts = exact.embed(["a red circle", "two blue stars"])
    noisy = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = (m.predict(noisy, torch.tensor([900, 100]), prompts) for m in (exact, mixed))
    assert found.dtype == torch.float32 and not torch.equal(found, expected)
    assert (found - expected).norm() < 0.02 * expected.norm()
    latents = mixed.draw(prompts, mixed.embed([""]), [1, 2], steps=2, guidance_scale=2.0)
    assert latents.dtype == torch.float32
    assert not torch.equal(latents, latents.bfloat16().float())  # no step rounded them


def test_a_cpu_that_has_no_products_in_the_smaller_dtype_computes_in_float32_and_says_so(
    model_folder, monkeypatch, caplog
):
    monkeypatch.setattr(running, "multiplies_in", lambda dtype, device: False)
    settings = Model(path=str(model_folder), dtype="float32", threads=1)
    exact, mixed = (
        diffusion.load(settings.model_copy(update=change)) for change in ({}, {"mixed_precision": "bfloat16"})
    )
    assert caplog.messages == [
        "model.mixed_precision: this CPU has no products in bfloat16, they are computed in float32"
    ]
    prompts = exact.embed(["a red circle"])
    noisy = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = (m.predict(noisy, torch.tensor([500]), prompts) for m in (exact, mixed))
    assert torch.equal(found, expected)
