"""What SANA alone needs: a request before each prompt but not before the empty one, and no change of the size."""

import inspect

import torch


def test_prompts_are_read_with_the_request_and_the_empty_one_without(flow):
    model = flow("sana")
    request = inspect.signature(model.pipe.__call__).parameters["complex_human_instruction"].default
    hidden, mask, without, without_mask = model.pipe.encode_prompt(["a red circle"], complex_human_instruction=request)
    found = model.embed(["a red circle", ""])
    torch.testing.assert_close(found.hidden[0], hidden[0])
    torch.testing.assert_close(found.hidden[1], without[0])
    assert torch.equal(found.mask, torch.cat([mask, without_mask]).bool())


def test_images_have_the_size_that_was_asked_for(flow):
    model = flow("sana")
    assert model.scale(4.5) == {"guidance_scale": 4.5, "use_resolution_binning": False}
    latents = model.draw(model.embed(["a red circle"]), model.embed([""]), [0], 1, 1.0, 64)
    assert model.decode(latents).shape == (1, 64, 64, 3)


def test_its_shift_is_kept(flow):
    """Half of the times are above 3/4, as a shift of 3 has it."""
    times = flow("sana").times(torch.tensor([0.5]), torch.Size([1, 4, 16, 16]))
    torch.testing.assert_close(times, torch.tensor([750.0]), atol=1.0, rtol=0)
