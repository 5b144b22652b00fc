"""Stable Diffusion 3 and 3.5."""

import torch
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.base import Backbone, token_mask
from versat2i.models.diffusion.embeddings import Embeddings

T5_TOKENS = 256  # the pipeline's own length of the third encoder's text


class StableDiffusion3(Backbone):
    """Two CLIP encoders and T5, whose tokens follow CLIP's, told to a transformer; flow matching.

    A pipeline that was saved without T5 has zeros in place of its tokens.
    """

    pipeline_class = "StableDiffusion3Pipeline"
    family = "sd3"
    denoiser_name = "transformer"
    denoiser_class = "SD3Transformer2DModel"
    layers = names.Layers(reads=names.STABLE.reads)

    def text_shape(self) -> tuple[tuple[int, ...], int]:
        config = self.denoiser.config
        tokens = self.pipe.text_encoder.config.max_position_embeddings + T5_TOKENS
        return (tokens, config.joint_attention_dim), config.pooled_projection_dim

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        hidden, _, pooled, _ = self.pipe.encode_prompt(
            texts, None, None, device=self.device, do_classifier_free_guidance=False, max_sequence_length=T5_TOKENS
        )
        return hidden, pooled

    def text_mask(self, texts: list[str]) -> Tensor:
        clip = super().text_mask(texts)
        if self.pipe.tokenizer_3 is None:
            return torch.cat([clip, clip.new_zeros(len(texts), T5_TOKENS)], dim=1)
        return torch.cat([clip, token_mask(self.pipe.tokenizer_3, texts, T5_TOKENS)], dim=1)

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        return self.denoiser(noisy, texts.hidden, texts.pooled, timesteps, return_dict=False)[0]
