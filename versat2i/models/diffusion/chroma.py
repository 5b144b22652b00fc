"""Chroma1."""

from typing import Any

import torch
from torch import Tensor

from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.flux import LAYERS, T5_TOKENS, position_ids
from versat2i.models.diffusion.masked import Masked
from versat2i.models.diffusion.packed import Packed, pack, unpack


class Chroma(Masked, Packed):
    """FLUX.1 with T5 alone, its mask with one more token, and guidance by a second pass."""

    pipeline_class = "ChromaPipeline"
    family = "chroma"
    denoiser_class = "ChromaTransformer2DModel"
    layers = LAYERS
    in_one_call = False

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (T5_TOKENS, self.denoiser.config.joint_attention_dim), None

    def _embed(self, texts: list[str]) -> Embeddings:
        hidden, _, mask, *_ = self.pipe.encode_prompt(
            texts, device=self.device, do_classifier_free_guidance=False, max_sequence_length=T5_TOKENS
        )
        return Embeddings(hidden, mask.bool())

    def _mask_told(self, texts: Embeddings) -> Tensor:
        return texts.mask.to(texts.hidden)

    def _call_mask(self, call: dict[str, Any]) -> Tensor:
        mask: Tensor = call["attention_mask"][:, : call["encoder_hidden_states"].shape[1]].bool()
        return mask

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        height, width = noisy.shape[-2:]
        tokens, mask = pack(noisy), self._mask_told(texts)
        found = self.denoiser(
            hidden_states=tokens,
            timestep=timesteps.to(noisy.dtype) / 1000,
            encoder_hidden_states=texts.hidden,
            txt_ids=noisy.new_zeros(texts.hidden.shape[1], 3),
            img_ids=position_ids(height // 2, width // 2, noisy),
            attention_mask=torch.cat([mask, mask.new_ones(tokens.shape[:2])], dim=1),
            return_dict=False,
        )[0]
        return unpack(found, height, width)
