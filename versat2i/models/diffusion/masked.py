"""Families whose pipeline passes a text mask to the denoiser: Chroma, Krea 2, Lumina 2, Qwen-Image, SANA."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.embeddings import Embeddings


def empty_apart(texts: list[str], found: tuple[Tensor, Tensor, Tensor, Tensor]) -> Embeddings:
    """Embed prompts, and the empty text as the pipeline's negative prompt, which it encodes in another way.

    Args:
        texts: that were encoded.
        found: embeddings ``[batch, tokens, d]`` and masks ``[batch, tokens]`` of the texts, then of empty ones.
    """
    hidden, mask, without, without_mask = found
    empty = torch.tensor([text == "" for text in texts], device=hidden.device)
    hidden[empty], mask[empty] = without[empty], without_mask[empty]
    return Embeddings(hidden, mask.bool())


class Masked(Backbone):
    """The pipeline is told embeddings and mask, with guidance those of the empty prompt too; so is the denoiser.

    Attributes:
        mask_name: what the pipeline calls the mask; the empty prompt's has ``negative_`` before it.
    """

    mask_name: ClassVar[str] = "prompt_attention_mask"

    def _mask_told(self, texts: Embeddings) -> Tensor:
        """The mask in the type that pipeline and denoiser take."""
        return texts.mask.long()

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        told = {"prompt_embeds": texts.hidden, self.mask_name: self._mask_told(texts)}
        if guidance_scale > 1:
            without = {"prompt_embeds": empty.hidden, self.mask_name: self._mask_told(empty)}
            told |= {f"negative_{name}": value for name, value in without.items()}
        return told | self.scale(guidance_scale)

    def _call_mask(self, call: dict[str, Any]) -> Tensor | None:
        mask: Tensor = call["encoder_attention_mask"].bool()
        return mask
