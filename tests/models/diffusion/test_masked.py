"""Which tokens are text, as families tell their pipeline and read it from a call of the denoiser."""

import pytest
import torch

from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.masked import empty_apart

TEXTS = Embeddings(torch.ones(1, 3, 2), torch.tensor([[True, True, False]]))
EMPTY = Embeddings(torch.zeros(1, 3, 2), torch.tensor([[True, False, False]]))


def test_the_empty_text_has_what_the_pipeline_is_guided_away_from():
    hidden, mask = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.long)
    without, without_mask = torch.zeros(2, 3, 4), torch.tensor([[1, 0, 0]] * 2)
    found = empty_apart(["a red circle", ""], (hidden, mask, without, without_mask))
    assert found.hidden[:, 0, 0].tolist() == [1, 0]
    assert found.mask.tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize(
    ("family", "name", "told"),
    [
        ("lumina2", "prompt_attention_mask", [1, 1, 0]),
        ("sana", "prompt_attention_mask", [1, 1, 0]),
        ("chroma", "prompt_attention_mask", [1.0, 1.0, 0.0]),
        ("krea2", "prompt_embeds_mask", [True, True, False]),
        ("qwen_image", "prompt_embeds_mask", [1, 1]),  # as long as the longest text
    ],
)
def test_the_mask_of_the_empty_prompt_is_told_with_guidance_alone(flow, family, name, told):
    model = flow(family)
    alone = model._told(TEXTS, EMPTY, 1.0)
    guided = model._told(TEXTS, EMPTY, 4.0)
    assert alone[name][0].tolist() == guided[name][0].tolist() == told
    assert not [key for key in alone if key.startswith("negative_prompt_")]
    assert guided[f"negative_{name}"][0].tolist() == [1, 0, 0] and not guided["negative_prompt_embeds"].any()
