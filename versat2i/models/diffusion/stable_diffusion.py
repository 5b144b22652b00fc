"""Stable Diffusion 1.x and 2.x."""

from typing import Any, ClassVar

from torch import Tensor

from versat2i.models.diffusion.base import Backbone


class StableDiffusion(Backbone):
    """One text encoder, a UNet, epsilon or v-prediction."""

    pipeline_class = "StableDiffusionPipeline"
    options: ClassVar[dict[str, Any]] = {
        "safety_checker": None
    }  # versat2i.generate.safety runs it where params ask for it

    def _encode(self, texts: list[str]) -> tuple[Tensor, None]:
        hidden, _ = self.pipe.encode_prompt(texts, self.device, 1, do_classifier_free_guidance=False)
        return hidden, None

    def _denoise(self, noisy: Tensor, timesteps: Tensor, hidden: Tensor, pooled: Tensor | None) -> Tensor:
        return self.denoiser(noisy, timesteps, hidden).sample
