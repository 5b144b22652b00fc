"""A frozen diffusers pipeline and the few things in which model families differ."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from versat2i import work
from versat2i.params import Model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Embeddings:
    """Prompt embeddings ``[batch, tokens, d]`` and which tokens are text, bool ``[batch, tokens]``."""

    hidden: Tensor
    mask: Tensor

    def __getitem__(self, rows: Any) -> "Embeddings":
        return Embeddings(self.hidden[rows], self.mask[rows])

    @staticmethod
    def concatenate(parts: list["Embeddings"]) -> "Embeddings":
        return Embeddings(torch.cat([p.hidden for p in parts]), torch.cat([p.mask for p in parts]))


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


class Backbone:
    """Stable Diffusion 1.x and 2.x: one text encoder, a UNet, epsilon or v-prediction."""

    pipeline_class = "StableDiffusionPipeline"

    def __init__(self, pipe: DiffusionPipeline, identity: dict[str, str]) -> None:
        self.pipe, self.identity = pipe, identity
        self.masking: Callable[[Tensor | None], AbstractContextManager[None]] = nullcontext  # of a mixture

    @property
    def denoiser(self) -> nn.Module:
        return self.pipe.unet

    @property
    def device(self) -> torch.device:
        return self.denoiser.device

    @cached_property
    def noise_scheduler(self) -> DDPMScheduler:
        """The schedule that the model was trained with, whatever sampler the pipeline uses."""
        return DDPMScheduler.from_config(self.pipe.scheduler.config)

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
            hidden, _ = self.pipe.encode_prompt(batch, self.device, 1, do_classifier_free_guidance=False)
            parts.append(Embeddings(hidden.cpu(), self.text_mask(batch)))
        return Embeddings.concatenate(parts)

    def text_mask(self, texts: list[str]) -> Tensor:
        """True where a token is text, start or end mark; False where it is padding."""
        tokenizer = self.pipe.tokenizer
        encoded = tokenizer(
            texts,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return encoded.attention_mask.bool()

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
        negative = empty.hidden.to(hidden).expand(len(seeds), -1, -1)
        mask = embeddings.mask
        if guidance_scale > 1:  # the pipeline puts the unconditional half first
            mask = torch.cat([empty.mask.expand(len(seeds), -1), mask])
        with self.masking(mask.to(self.device)):
            return self.pipe(
                prompt_embeds=hidden,
                negative_prompt_embeds=negative,
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
        scaled = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor
        images = vae.decode(scaled, return_dict=False)[0]
        if not torch.isfinite(images).all():
            raise ValueError("the decoder gave an image that is not finite; try model.dtype: float32")
        array = self.pipe.image_processor.postprocess(images.float(), output_type="np")
        return np.round(array * 255).astype(np.uint8)

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Embeddings) -> Tensor:
        """The denoiser's output for noisy latents, in the scheduler's prediction type."""
        hidden = embeddings.hidden.to(self.device, self.denoiser.dtype)
        with self.masking(embeddings.mask.to(self.device)):
            return self.denoiser(noisy.to(self.denoiser.dtype), timesteps, hidden).sample


FAMILIES: tuple[type[Backbone], ...] = (Backbone,)


def identity(model: Model) -> dict[str, str]:
    """What tells this base model from any other, for metadata and fingerprints."""
    if model.path is not None:
        return {"base_model": model.path, "revision": work.folder_hash(Path(model.path))[:16]}
    return {"base_model": str(model.repo), "revision": str(model.revision)}


def _family(name: str, where: str) -> type[Backbone]:
    for family in FAMILIES:
        if family.pipeline_class == name:
            return family
    known = ", ".join(family.pipeline_class for family in FAMILIES)
    raise ValueError(f"{where}: is a {name}; supported are {known}")


def load(model: Model, device: str = "cpu") -> Backbone:
    """Load the base model of params.

    Raises:
        ValueError: the folder or revision is missing or no whole diffusers pipeline, or its class is not supported.
    """
    torch.set_num_threads(model.threads)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    source = model.path or str(model.repo)
    if model.path is not None and not (Path(model.path) / "model_index.json").is_file():
        raise ValueError(f"model.path: {model.path} is no diffusers folder (it has no model_index.json)")
    try:
        config = DiffusionPipeline.load_config(source, revision=model.revision)
        family = _family(config["_class_name"], source)
        with torch.random.fork_rng(devices=[]):  # some layers draw their first weights before they are loaded
            pipe = DiffusionPipeline.from_pretrained(
                source, revision=model.revision, dtype=DTYPES[model.dtype], safety_checker=None
            )
    except OSError as error:
        where = source if model.path is not None else f"{source} at revision {model.revision}"
        raise ValueError(f"{where}: cannot be loaded ({' '.join(str(error).split())})") from None
    pipe.set_progress_bar_config(disable=True)
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.requires_grad_(False).eval()
    return family(pipe.to(device), identity(model))
