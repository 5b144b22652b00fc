"""SANA and SANA 1.5."""

import inspect
from typing import Any

from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.masked import Masked, empty_apart

TOKENS = 300  # the pipeline's own length


class Sana(Masked):
    """Gemma 2 with an instruction before each prompt but the empty one; linear attention; 32 x 32 pixels a latent."""

    pipeline_class = "SanaPipeline"
    family = "sana"
    denoiser_name = "transformer"
    denoiser_class = "SanaTransformer2DModel"
    layers = names.Layers(
        attention=("to_q", "to_k", "to_v", "to_out.0"),
        feed_forward=(),
        reads=((r"\.attn2\.to_[kv]$", names.text_alone),),
    )
    texts_at_once = 16

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (TOKENS, self.denoiser.config.caption_channels), None

    def _embed(self, texts: list[str]) -> Embeddings:
        """The pipeline's own embeddings: of the empty text, those of its negative prompt."""
        request = inspect.signature(self.pipe.__call__).parameters["complex_human_instruction"].default
        found = self.pipe.encode_prompt(
            texts, negative_prompt="", device=self.device, complex_human_instruction=request
        )
        return empty_apart(texts, found)

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        return super()._told(texts, empty, guidance_scale) | {"negative_prompt": None}

    @classmethod
    def scale(cls, guidance_scale: float) -> dict[str, Any]:
        """Tell it to draw images of the size that was asked for."""
        return super().scale(guidance_scale) | {"use_resolution_binning": False}

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        found: Tensor = self.denoiser(
            noisy,
            encoder_hidden_states=texts.hidden,
            encoder_attention_mask=texts.mask.long(),
            timestep=timesteps * self.denoiser.config.timestep_scale,
            return_dict=False,
        )[0]
        return found[:, : noisy.shape[1]]  # the other half is a variance
