"""Stable Diffusion XL."""

from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from versat2i.models.diffusion.base import ALONE, Backbone
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.settings.compute import Compute


class StableDiffusionXL(Backbone):
    """Two text encoders, the second's pooled embedding, and the size of the image, told to a UNet.

    In float16 the autoencoder of the published model overflows: it is kept in float32 where its config
    says so (``force_upcast``).
    """

    pipeline_class = "StableDiffusionXLPipeline"
    family = "sdxl"
    options: ClassVar[dict[str, Any]] = {"add_watermarker": False}  # or it depends on which packages are installed

    def __init__(self, pipe: DiffusionPipeline, identity: dict[str, str], machine: Compute = ALONE) -> None:
        super().__init__(pipe, identity, machine)
        if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
            pipe.vae.to(torch.float32)

    def text_shape(self) -> tuple[tuple[int, ...], int]:
        tokens = self.pipe.text_encoder_2.config.max_position_embeddings
        return (tokens, self.denoiser.config.cross_attention_dim), self.pipe.text_encoder_2.config.projection_dim

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        hidden, _, pooled, _ = self.pipe.encode_prompt(texts, device=self.device, do_classifier_free_guidance=False)
        if self.pipe.config.force_zeros_for_empty_prompt:  # what the pipeline is guided away from
            empty = torch.tensor([text == "" for text in texts], device=hidden.device)
            hidden[empty], pooled[empty] = 0, 0
        return hidden, pooled

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        added = {"text_embeds": texts.pooled, "time_ids": self._time_ids(noisy).to(texts.hidden)}
        return self.denoiser(noisy, timesteps, texts.hidden, added_cond_kwargs=added).sample

    def _time_ids(self, latents: Tensor) -> Tensor:
        """Original size, crop and target size, as the pipeline says them: a whole image of its own size."""
        height, width = (side * self.pipe.vae_scale_factor for side in latents.shape[-2:])
        return torch.tensor([[height, width, 0, 0, height, width]]).expand(len(latents), -1)

    def _unscaled(self, latents: Tensor) -> Tensor:
        config = self.pipe.vae.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is None or deviation is None:
            return super()._unscaled(latents)
        return latents * _per_channel(deviation, latents) / config.scaling_factor + _per_channel(mean, latents)


def _per_channel(values: Any, latents: Tensor) -> Tensor:
    """``[1, channels, 1, 1]``."""
    return torch.tensor(values).view(1, -1, 1, 1).to(latents)
