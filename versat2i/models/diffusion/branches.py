"""Families whose denoiser is told no mask of the text: what is padding in a call is known by the call's name."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

from versat2i.models.diffusion.base import ALONE, Backbone
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.settings.compute import Compute

WITH, WITHOUT = "cond", "uncond"  # as pipelines name a step's calls: with the prompts, with the empty ones


class Branches(Backbone):
    """Remembers the masks of a step's calls, from what the pipeline was told or encoded, and which call it is."""

    def __init__(self, pipe: DiffusionPipeline, identity: dict[str, str], machine: Compute = ALONE) -> None:
        self._masks: dict[str, Tensor] = {}
        self._call, self._called = WITH, True
        super().__init__(pipe, identity, machine)
        self._name_calls()
        self._encode_prompt = pipe.encode_prompt
        pipe.encode_prompt = self._remember_prompts

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        self._masks = {WITH: texts.mask, WITHOUT: empty.mask}
        return {}

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        self._masks = {WITH: texts.mask}
        return noisy

    def _call_mask(self, call: dict[str, Any]) -> Tensor | None:
        self._called = True
        return self._masks.get(self._call)

    def _name_calls(self) -> None:
        named = self.denoiser.cache_context

        @contextmanager
        def cache_context(name: str, **kwargs: Any) -> Iterator[None]:
            self._call = name
            try:
                with named(name, **kwargs):
                    yield
            finally:
                self._call = WITH

        self.denoiser.cache_context = cache_context

    def _remember_prompts(self, *args: Any, **kwargs: Any) -> Any:
        """The pipeline's `encode_prompt`, called for the prompts, then for the empty ones if there is guidance."""
        told = inspect.signature(self._encode_prompt).bind(*args, **kwargs).arguments
        prompt = told.get("prompt")
        if prompt is not None and told.get("prompt_embeds") is None:
            mask = self.text_mask([prompt] if isinstance(prompt, str) else list(prompt))
            mask = mask.repeat_interleave(told.get("num_images_per_prompt", 1), dim=0)
            self._masks = {WITH: mask} if self._called else self._masks | {WITHOUT: mask}
            self._called = False
        return self._encode_prompt(*args, **kwargs)
