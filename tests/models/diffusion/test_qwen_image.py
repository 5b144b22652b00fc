"""What Qwen-Image alone needs: latents scaled by channel in a film of one frame, a space for the empty prompt."""

import torch

from versat2i.models.diffusion import qwen_image


def test_latents_are_scaled_by_channel_and_become_a_film_of_one_frame():
    config = {"latents_mean": [1.0, -1.0], "latents_std": [2.0, 0.5]}
    found = qwen_image.film(torch.ones(1, 2, 1, 1), config)
    assert found.shape == (1, 2, 1, 1, 1) and found.flatten().tolist() == [3.0, -0.5]


def test_the_empty_prompt_is_a_space(flow):
    model = flow("qwen_image")
    found, space = model.embed([""]), model.embed([" "])
    assert torch.equal(found.hidden, space.hidden) and torch.equal(found.mask, space.mask)


def test_a_batch_is_as_long_as_its_longest_text(flow):
    model = flow("qwen_image")
    both = model.embed(["a red circle", "two pink hearts on a navy background"])
    alone = model.embed(["a red circle"])
    assert both.mask.sum(1).tolist() == [alone.mask.shape[1], both.mask.shape[1]]
    torch.testing.assert_close(both[torch.tensor([0])].trimmed().hidden, alone.hidden)
