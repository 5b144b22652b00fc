"""Common interface of all model families: embed text, draw latents, decode them, predict noise."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from torch import Tensor, nn

from versat2i.models.diffusion import running
from versat2i.models.diffusion.names import MASKING
from versat2i.models.diffusion.schedules import Schedule, schedule_of
from versat2i.settings.compute import Compute

ALONE = Compute()  # what holds without a compute.yaml


@dataclass(frozen=True)
class Embeddings:
    """Prompts as the denoiser takes them.

    Attributes:
        hidden: an embedding a token, ``[batch, tokens, d]``.
        mask: which tokens are text, not padding, bool ``[batch, tokens]``.
        pooled: one embedding a prompt, ``[batch, d_pooled]``; None for families without.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None

    def __getitem__(self, rows: Any) -> "Embeddings":
        return Embeddings(self.hidden[rows], self.mask[rows], None if self.pooled is None else self.pooled[rows])

    def replaced(self, rows: Tensor, empty: "Embeddings") -> "Embeddings":
        """A copy in which the one row of `empty` stands where `rows`, bool ``[batch]``, is true."""
        hidden, mask = self.hidden.clone(), self.mask.clone()
        hidden[rows], mask[rows] = empty.hidden[0], empty.mask[0]
        if self.pooled is None or empty.pooled is None:
            return Embeddings(hidden, mask)
        pooled = self.pooled.clone()
        pooled[rows] = empty.pooled[0]
        return Embeddings(hidden, mask, pooled)

    @staticmethod
    def concatenate(parts: list["Embeddings"]) -> "Embeddings":
        pooled = [p.pooled for p in parts if p.pooled is not None]
        return Embeddings(
            torch.cat([p.hidden for p in parts]),
            torch.cat([p.mask for p in parts]),
            torch.cat(pooled) if pooled else None,
        )


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


class Backbone:
    """A pipeline behind one interface; a family fills in what it does its own way.

    Attributes:
        pipeline_class: the diffusers class that it stands for.
        denoiser_name: what that class calls its denoiser, also in a file of LoRA weights.
        options: what the class's constructor has to be told.
    """

    pipeline_class: ClassVar[str]
    denoiser_name: ClassVar[str] = "unet"
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, pipe: DiffusionPipeline, identity: dict[str, str], machine: Compute = ALONE) -> None:
        self.pipe, self.identity, self.machine = pipe, identity, machine
        self._mask: Tensor | None = None  # of the texts of the last call
        running.compiled(self.denoiser, machine)
        running.checkpointed(self.denoiser, machine, lambda: self.running(self._mask))

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor | None]:
        """Prompt embeddings ``[batch, tokens, d]`` and pooled ones ``[batch, d_pooled]``, if there are any."""
        raise NotImplementedError

    def _denoise(self, noisy: Tensor, timesteps: Tensor, hidden: Tensor, pooled: Tensor | None) -> Tensor:
        """The denoiser's output for inputs of its own dtype and device."""
        raise NotImplementedError

    def _unscaled(self, latents: Tensor) -> Tensor:
        """Latents as the decoder takes them, from those that the denoiser sees."""
        return latents / self.pipe.vae.config.scaling_factor

    @property
    def family(self) -> str | None:
        """`sd1`, `sd2`, `sdxl` or `sd3`; None for a model of none of them."""
        raise NotImplementedError

    @property
    def origin(self) -> dict[str, str]:
        """Metadata for adapters trained on this model: its identity, and its family where it has one."""
        return self.identity | ({"family": self.family} if self.family else {})

    @property
    def denoiser(self) -> nn.Module:
        return getattr(self.pipe, self.denoiser_name)

    @property
    def parts(self) -> list[nn.Module]:
        """Every network of the pipeline."""
        return [part for part in self.pipe.components.values() if isinstance(part, nn.Module)]

    @property
    def device(self) -> torch.device:
        """Where it computes; with `cpu_offload` its parts wait elsewhere."""
        return self.pipe._execution_device

    @cached_property
    def schedule(self) -> Schedule:
        """The noise that the model was trained with, whatever sampler the pipeline uses."""
        return schedule_of(self.pipe.scheduler)

    @contextmanager
    def running(self, mask: Tensor | None) -> Iterator[None]:
        """Context for every denoiser call: gives gates the padding mask and selects the attention kernel."""
        self._mask = mask
        masking = getattr(self.denoiser, MASKING, nullcontext)
        with masking(mask), running.attention(self.machine.attention):
            yield

    @torch.no_grad()
    def embed(self, texts: list[str], batch_size: int = 256) -> Embeddings:
        """Prompt embeddings of texts, as the pipeline itself makes them, on the CPU.

        Raises:
            ValueError: a text holds a word that the model has never seen (models of a closed vocabulary only).
        """
        self._check_words(texts)
        parts = []
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            hidden, pooled = self._encode(batch)
            parts.append(Embeddings(hidden.cpu(), self.text_mask(batch), None if pooled is None else pooled.cpu()))
        return Embeddings.concatenate(parts)

    def text_mask(self, texts: list[str]) -> Tensor:
        """True where a token is text, start or end mark; False where it is padding, ``[batch, tokens]``."""
        return token_mask(self.pipe.tokenizer, texts, self.pipe.tokenizer.model_max_length)

    def _check_words(self, texts: list[str]) -> None:
        """A model of a closed vocabulary has only seen the words that its tokenizer's config lists."""
        known = self.pipe.tokenizer.init_kwargs.get("closed_vocabulary")
        if known is None:
            return
        for text in texts:
            for word in words(text):
                if word not in known:
                    raise ValueError(
                        f"{word!r} is not a word that this model knows (in {text!r}). Its words are listed in "
                        f"the model's tokenizer; use others, or name another model in params.yaml"
                    )

    def draw(
        self, embeddings: Embeddings, empty: Embeddings, seeds: list[int], steps: int, guidance_scale: float
    ) -> Tensor:
        """Final latents, one generator per image: an image's noise depends on its seed alone.

        Args:
            embeddings: of the prompts, one a seed.
            empty: of the empty prompt, one row; the unconditional branch of guidance.
            seeds: one an image.
            steps: denoising steps.
            guidance_scale: 1 is no guidance.

        Returns:
            latents as the denoiser sees them, ``[batch, channels, height, width]``, on the CPU.
        """
        hidden = embeddings.hidden.to(self.device, self.denoiser.dtype)
        texts = {
            "prompt_embeds": hidden,
            "negative_prompt_embeds": empty.hidden.to(hidden).expand(len(seeds), -1, -1),
        }
        if embeddings.pooled is not None and empty.pooled is not None:
            texts["pooled_prompt_embeds"] = embeddings.pooled.to(hidden)
            texts["negative_pooled_prompt_embeds"] = empty.pooled.to(hidden).expand(len(seeds), -1)
        mask = embeddings.mask
        if guidance_scale > 1:  # the pipeline puts the unconditional half first
            mask = torch.cat([empty.mask.expand(len(seeds), -1), mask])
        with self.running(mask.to(self.device)):
            return self.pipe(
                **texts,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                num_inference_steps=steps,
                guidance_scale=guidance_scale,
                output_type="latent",
            ).images.cpu()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Images ``uint8 [batch, height, width, 3]`` of latents.

        Raises:
            ValueError: an image is not finite.
        """
        vae = self.pipe.vae
        images = vae.decode(self._unscaled(latents.to(self.device, vae.dtype)), return_dict=False)[0]
        if not torch.isfinite(images).all():
            raise ValueError("the decoder gave an image that is not finite; try model.dtype: float32")
        array = self.pipe.image_processor.postprocess(images.float(), output_type="np")
        return np.round(array * 255).astype(np.uint8)

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Embeddings) -> Tensor:
        """The denoiser's output for noisy latents, in the prediction type of `schedule`."""
        dtype, device = self.denoiser.dtype, self.device
        hidden, pooled = embeddings.hidden.to(device, dtype), embeddings.pooled
        with self.running(embeddings.mask.to(device)):
            return self._denoise(
                noisy.to(dtype), timesteps, hidden, None if pooled is None else pooled.to(device, dtype)
            )


def token_mask(tokenizer: Any, texts: list[str], length: int) -> Tensor:
    """Which of a tokenizer's tokens are no padding, bool ``[batch, length]``."""
    encoded = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return encoded.attention_mask.bool()
