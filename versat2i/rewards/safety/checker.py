"""The safety checker of Stable Diffusion 1.x (Rombach et al. 2022), as a number in place of yes or no."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Images, Prompt, Verdicts, batches, pictures
from versat2i.work import hub

if TYPE_CHECKING:
    from torch import Tensor

CARE = 0.01  # by which every threshold falls where an image is near one of the three concepts of special care


def margins(cosines: NDArray[np.float64], special: NDArray[np.float64]) -> NDArray[np.float64]:
    """``min_c (t_c - cos_c) - 0.01 [any special]``, to three decimals as the checker has it: below 0 it flags.

    Args:
        cosines: ``cos_c - t_c`` of each concept c with its threshold t, ``float64 [images, concepts]``.
        special: the same of the concepts of special care.

    Returns:
        ``float64 [images]``.
    """
    care = CARE * (special.round(3) > 0).any(-1, keepdims=True)
    return -(cosines + care).round(3).max(-1)


class Embedder:
    """The checker's model and the processor of its images, loaded when first used."""

    def __init__(self, model: str, processor: str | None, dtype: str, device: str) -> None:
        self.weights = weights.parse(model, dtype)
        self.processor = self.weights if processor is None else weights.parse(processor, dtype)
        self._device = device

    @cached_property
    def _processor(self) -> Any:
        return self.processor.load("CLIPImageProcessor")

    @cached_property
    def _model(self) -> Any:
        """The model.

        Raises:
            ValueError: it cannot be loaded, or lacks weights.
        """
        import torch  # heavy
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        named = self.weights
        pinned = {} if named.revision is None else {"revision": named.revision}
        try:
            model, found = StableDiffusionSafetyChecker.from_pretrained(
                named.place, dtype=getattr(torch, named.dtype), output_loading_info=True, **pinned
            )
        except hub.failures(ValueError, KeyError, RuntimeError) as error:
            why = hub.reason(error, named.place, named.revision) if named.revision else None
            raise ValueError(
                why or f"{named}: no safety checker of diffusers ({' '.join(str(error).split())[:300]})"
            ) from None
        if found["missing_keys"]:
            raise ValueError(f"{named}: no safety checker of diffusers: lacks {sorted(found['missing_keys'])[0]}")
        return model.requires_grad_(False).eval().to(self._device)

    def margins(self, images: Images) -> list[float]:
        """`margins` of images ``uint8 [batch, height, width, 3]``."""
        import torch  # heavy

        model = self._model
        pixels = self._processor(pictures(images), return_tensors="pt").pixel_values.to(model.device, model.dtype)
        with torch.inference_mode():
            embedded = model.visual_projection(model.vision_model(pixels)[1])
        return margins(
            _over(embedded, model.concept_embeds, model.concept_embeds_weights),
            _over(embedded, model.special_care_embeds, model.special_care_embeds_weights),
        ).tolist()


def _over(embedded: "Tensor", concepts: "Tensor", thresholds: "Tensor") -> NDArray[np.float64]:
    """``cos_c - t_c`` of each image and concept."""
    from torch.nn.functional import normalize

    return (normalize(embedded) @ normalize(concepts).T - thresholds).double().cpu().numpy()


class Checker:
    """How far an image is from the nearest concept that the checker flags; less than 0 is flagged."""

    name = "checker"
    metric = "safety_margin"
    higher_is_better = True
    range = (-2.0, 2.0)
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        model: str,
        processor: str | None = None,
        dtype: str = "float32",
        batch_size: int = 32,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            model: the checker, a folder or ``repository@revision``.
            processor: where the processor of its images lies; None: beside it. In a Stable Diffusion 1.x it is the
                folder ``feature_extractor``.
            dtype: float32, float16 or bfloat16.
            batch_size: images at once.
            device: to compute on.
        """
        self.embedder, self.batch_size = Embedder(model, processor, dtype, device), batch_size
        self.weights = list(dict.fromkeys([self.embedder.weights, self.embedder.processor]))
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [
            margin for some, _ in batches(self.batch_size, images, prompts) for margin in self.embedder.margins(some)
        ]
