"""The safety checker that some models come with: which images it flags."""

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessor

from versat2i.models.diffusion import loading
from versat2i.settings.params import Model


class Checker:
    """The checker of Stable Diffusion 1.x: how near an image's CLIP embedding is to those of 17 concepts."""

    def __init__(self, processor: CLIPImageProcessor, model: StableDiffusionSafetyChecker) -> None:
        self.processor, self.model = processor, model

    def __call__(self, images: NDArray[np.uint8]) -> list[bool]:
        """Which images are flagged.

        Args:
            images: ``uint8 [batch, height, width, 3]``.
        """
        pictures = [Image.fromarray(image) for image in images]
        pixels = self.processor(pictures, return_tensors="pt").pixel_values
        model = self.model
        # it blacks images out itself, so it is given a copy
        return model(images=list(images.copy()), clip_input=pixels.to(model.device, model.dtype))[1]


def load(model: Model, device: str) -> Checker:
    """The checker of the base model of params.

    Raises:
        ValueError: the model has none, or it cannot be loaded.
    """
    place, revision = model.place
    source = {"pretrained_model_name_or_path": place, "revision": revision}
    with loading.explained(model):
        index = DiffusionPipeline.load_config(**source)
        if index.get(loading.CHECKER, [None, None])[1] != StableDiffusionSafetyChecker.__name__:
            raise loading.UnsupportedModel(
                f"generate.safety: drop needs a model with a safety checker, and {place} (a "
                f"{index['_class_name']}) has none; Stable Diffusion 1.5 has one. Write `safety: off` in params.yaml"
            )
        processor = CLIPImageProcessor.from_pretrained(**source, subfolder="feature_extractor")
        checker = StableDiffusionSafetyChecker.from_pretrained(
            **source, subfolder=loading.CHECKER, dtype=loading.DTYPES[model.dtype]
        )
    return Checker(processor, checker.requires_grad_(False).eval().to(torch.device(device)))
