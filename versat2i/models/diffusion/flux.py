"""FLUX.1: dev and Krea, which are told their guidance, and schnell, which has none."""

from typing import Any

import torch
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.base import token_mask
from versat2i.models.diffusion.branches import Branches
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.packed import Packed, pack, unpack

T5_TOKENS = 512  # the pipeline's own length
GUIDANCE = 3.5  # the pipeline's own scale, told to the denoiser in training

LAYERS = names.Layers(
    feed_forward=(*names.FEED_FORWARD, "proj_mlp", "proj_out"),
    blocks=("transformer_blocks.", "single_transformer_blocks."),
    reads=(
        (r"\.attn\.(add_[qkv]_proj|to_add_out)$|\.ff_context\.", names.text_alone),
        (r"^single_transformer_blocks\.", names.text_then_image),
    ),
)


def position_ids(height: int, width: int, like: Tensor) -> Tensor:
    """``(0, row, column)`` of each token of an image, ``[height * width, 3]``."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).flatten(0, 1).to(like)


class Flux(Branches, Packed):
    """CLIP's pooled embedding and T5's tokens, padding among them; guidance is an input of the denoiser."""

    pipeline_class = "FluxPipeline"
    family = "flux1"
    denoiser_class = "FluxTransformer2DModel"
    layers = LAYERS
    passes = 1

    @property
    def guided(self) -> bool:
        return bool(self.denoiser.config.guidance_embeds)

    @property
    def distilled(self) -> bool:
        return not self.guided  # schnell

    def text_shape(self) -> tuple[tuple[int, ...], int]:
        config = self.denoiser.config
        return (T5_TOKENS, config.joint_attention_dim), config.pooled_projection_dim

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        hidden, pooled, _ = self._encode_prompt(texts, device=self.device, max_sequence_length=T5_TOKENS)
        return hidden, pooled

    def text_mask(self, texts: list[str]) -> Tensor:
        return token_mask(self.pipe.tokenizer_2, texts, T5_TOKENS)

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        return super()._told(texts, empty, guidance_scale) | {
            "prompt_embeds": texts.hidden,
            "pooled_prompt_embeds": texts.pooled,
            "guidance_scale": guidance_scale,
        }

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        super()._denoise(noisy, timesteps, texts)
        height, width = noisy.shape[-2:]
        told = torch.full((len(noisy),), GUIDANCE, device=noisy.device)
        found = self.denoiser(
            hidden_states=pack(noisy),
            timestep=timesteps.to(noisy.dtype) / 1000,
            guidance=told if self.denoiser.config.guidance_embeds else None,
            pooled_projections=texts.pooled,
            encoder_hidden_states=texts.hidden,
            txt_ids=noisy.new_zeros(texts.hidden.shape[1], 3),
            img_ids=position_ids(height // 2, width // 2, noisy),
            return_dict=False,
        )[0]
        return unpack(found, height, width)
