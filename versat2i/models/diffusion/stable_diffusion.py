"""Stable Diffusion 1.x and 2.x."""

from typing import Any, ClassVar

from torch import Tensor

from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.embeddings import Embeddings

TEXT_ENCODERS = {768: "sd1", 1024: "sd2"}  # by the width of their embeddings: CLIP ViT-L/14, OpenCLIP ViT-H/14


class StableDiffusion(Backbone):
    """One text encoder, a UNet, epsilon or v-prediction."""

    pipeline_class = "StableDiffusionPipeline"
    options: ClassVar[dict[str, Any]] = {
        "safety_checker": None
    }  # versat2i.generate.safety runs it where params ask for it

    @property
    def family(self) -> str | None:
        return TEXT_ENCODERS.get(self.denoiser.config.cross_attention_dim)

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (self.pipe.text_encoder.config.max_position_embeddings, self.denoiser.config.cross_attention_dim), None

    def _encode(self, texts: list[str]) -> tuple[Tensor, None]:
        hidden, _ = self.pipe.encode_prompt(texts, self.device, 1, do_classifier_free_guidance=False)
        return hidden, None

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        return self.denoiser(noisy, timesteps, texts.hidden).sample
