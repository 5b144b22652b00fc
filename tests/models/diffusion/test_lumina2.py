"""What Lumina 2 alone needs: each text at once followed by the image, a system prompt but for the empty text."""

import torch

from versat2i.models.diffusion import lumina2


def test_the_image_follows_each_text_at_once_and_padding_comes_last():
    """Texts of 1 and 2 tokens, an image of 3."""
    mask = torch.tensor([[True, False], [True, True]])
    assert lumina2.text_and_image(mask, 5).tolist() == [[True] * 4 + [False], [True] * 5]


def test_prompts_have_a_system_prompt_and_the_empty_one_has_none(flow):
    model = flow("lumina2")
    hidden, mask, without, without_mask = model.pipe.encode_prompt(["a red circle"])
    found = model.embed(["a red circle", ""])
    torch.testing.assert_close(found.hidden, torch.cat([hidden, without]))
    assert torch.equal(found.mask, torch.cat([mask, without_mask]).bool())
