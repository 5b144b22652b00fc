"""Lumina-Image 2.0."""

from typing import Any

import torch
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.embeddings import Embeddings


def text_and_image(mask: Tensor, tokens: int) -> Tensor:
    """The input is each text without its padding, then at once the image, then padding."""
    lengths = mask.sum(1)
    image = tokens - int(lengths.max())
    return torch.arange(tokens, device=mask.device) < lengths[:, None] + image


class Lumina2(Backbone):
    """The last but one layer of Gemma 2, below a system prompt but for the empty one; a flow told from 0 to 1."""

    pipeline_class = "Lumina2Pipeline"
    family = "lumina2"
    denoiser_name = "transformer"
    denoiser_class = "Lumina2Transformer2DModel"
    layers = names.Layers(
        attention=("to_q", "to_k", "to_v", "to_out.0"),
        feed_forward=("feed_forward.linear_1", "feed_forward.linear_2", "feed_forward.linear_3"),
        blocks=("layers.", "noise_refiner.", "context_refiner."),
        reads=((r"^context_refiner\.", names.text_alone), (r"^layers\.", text_and_image)),
    )
    texts_at_once = 16
    patch = 2

    def _embed(self, texts: list[str]) -> Embeddings:
        hidden, mask, without, without_mask = self.pipe.encode_prompt(list(texts), device=self.device)
        empty = torch.tensor([text == "" for text in texts], device=hidden.device)
        hidden[empty], mask[empty] = without[empty], without_mask[empty]
        return Embeddings(hidden, mask.bool())

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        told = {"prompt_embeds": texts.hidden, "prompt_attention_mask": texts.mask.long()}
        if guidance_scale > 1:
            told |= {"negative_prompt_embeds": empty.hidden, "negative_prompt_attention_mask": empty.mask.long()}
        return {**told, "guidance_scale": guidance_scale}

    def _call_mask(self, call: dict[str, Any]) -> Tensor:
        mask: Tensor = call["encoder_attention_mask"].bool()
        return mask

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        found: Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=1 - timesteps / 1000,
            encoder_hidden_states=texts.hidden,
            encoder_attention_mask=texts.mask.long(),
            return_dict=False,
        )[0]
        return -found

    def _unscaled(self, latents: Tensor) -> Tensor:
        return super()._unscaled(latents) + self.pipe.vae.config.shift_factor
