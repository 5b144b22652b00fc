"""Common interface of all model families: embed text, draw latents, decode them, predict noise."""

import inspect
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from torch import Tensor, nn

from versat2i.models.diffusion import names, running
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.names import MASKING
from versat2i.models.diffusion.schedules import Flow, Schedule, schedule_of
from versat2i.settings.compute import Compute

ALONE = Compute()  # what holds without a compute.yaml


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


class Backbone:
    """A pipeline behind one interface; a family fills in what it does its own way.

    Attributes:
        pipeline_class: the diffusers class that it stands for.
        denoiser_name: what that class calls its denoiser, also in a file of LoRA weights.
        denoiser_class: of that denoiser.
        layers: what it calls its layers.
        options: what the class's constructor has to be told.
        texts_at_once: how many texts the encoder reads at once.
        patch: the side of an image is a multiple of so many latents.
        passes: calls of the denoiser, or twice its batch, a step with guidance; 1 where it is told the scale.
        in_one_call: whether a step with guidance is one call of twice the batch, not two calls.
        shifted_by_size: whether its sampler may shift its times by the size of the image.
    """

    pipeline_class: ClassVar[str]
    denoiser_name: ClassVar[str] = "unet"
    denoiser_class: ClassVar[str] = "UNet2DConditionModel"
    layers: ClassVar[names.Layers] = names.STABLE
    options: ClassVar[dict[str, Any]] = {}
    texts_at_once: ClassVar[int] = 256
    patch: ClassVar[int] = 1
    passes: ClassVar[int] = 2
    in_one_call: ClassVar[bool] = True
    shifted_by_size: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        names.register(cls.denoiser_class, cls.layers)

    def __init__(self, pipe: DiffusionPipeline, identity: dict[str, str], machine: Compute = ALONE) -> None:
        self.pipe, self.identity, self.machine = pipe, identity, machine
        self._mask: Tensor | None = None  # of the texts of the last call
        if self.follows_calls:
            self._follow_calls()
        running.compiled(self.denoiser, machine)
        running.checkpointed(self.denoiser, machine, lambda: self.running(self._mask))

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor | None]:
        """Prompt embeddings ``[batch, tokens, d]`` and pooled ones ``[batch, d_pooled]``, if there are any."""
        raise NotImplementedError

    def _embed(self, texts: list[str]) -> Embeddings:
        """What the pipeline makes of a few texts."""
        hidden, pooled = self._encode(texts)
        return Embeddings(hidden, self.text_mask(texts).to(hidden.device), pooled)

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        """The denoiser's output for inputs of its own dtype and device, of the shape of the latents."""
        raise NotImplementedError

    def text_shape(self) -> tuple[tuple[int, ...], int | None]:
        """Shape of the embedding of a text of full length, ``(tokens, .., d)``, and width of its pooled one, if any."""
        raise NotImplementedError

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        """What the pipeline is told of prompts and guidance, from inputs of the denoiser's dtype and device.

        Args:
            texts: of the prompts, one an image.
            empty: of the empty prompt, one an image.
            guidance_scale: 1 is no guidance.
        """
        told = {
            "prompt_embeds": texts.hidden,
            "negative_prompt_embeds": empty.hidden,
            **self.scale(guidance_scale),
        }
        if texts.pooled is not None:
            told |= {"pooled_prompt_embeds": texts.pooled, "negative_pooled_prompt_embeds": empty.pooled}
        return told

    @classmethod
    def scale(cls, guidance_scale: float) -> dict[str, Any]:
        """How the pipeline is told the guidance scale, 1 being none."""
        return {"guidance_scale": guidance_scale}

    def _stored(self, latents: Tensor, size: int | None) -> Tensor:
        """Latents ``[batch, channels, height, width]`` from those that the pipeline returns, of images of that side."""
        return latents

    def _call_mask(self, call: dict[str, Any]) -> Tensor | None:
        """The text's mask in a call of the denoiser, of a family that says it there.

        A family that calls the denoiser twice a step, or puts prompts before empty ones, says it here: then a
        mixture's gates see the right mask in each call, whoever runs the pipeline.

        Args:
            call: the arguments by name.
        """
        raise NotImplementedError

    def _unscaled(self, latents: Tensor) -> Tensor:
        """Latents as the decoder takes them, from those that the denoiser sees."""
        config = self.pipe.vae.config
        shift = config.get("shift_factor")
        scaled = latents / config.scaling_factor
        return scaled if shift is None else scaled + shift

    @property
    def follows_calls(self) -> bool:
        """Whether the family says the text's mask in each call of the denoiser."""
        return type(self)._call_mask is not Backbone._call_mask

    def _follow_calls(self) -> None:
        """Give a mixture, at each call of the denoiser, the mask that the call says."""
        calls, names_of = ExitStack(), inspect.signature(self.denoiser.forward)

        @torch.compiler.disable
        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._mask = self._call_mask(names_of.bind(*args, **kwargs).arguments)
            calls.close()
            calls.enter_context(getattr(self.denoiser, MASKING, nullcontext)(self._mask))

        @torch.compiler.disable
        def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            calls.close()

        self.denoiser.register_forward_pre_hook(enter, with_kwargs=True)
        self.denoiser.register_forward_hook(leave, always_call=True)

    @property
    def family(self) -> str | None:
        """What an exported adapter calls it, such as `sdxl`; None for a model of no published family."""
        raise NotImplementedError

    @property
    def origin(self) -> dict[str, str]:
        """Metadata for adapters trained on this model: its identity, and its family where it has one."""
        return self.identity | ({"family": self.family} if self.family else {})

    @property
    def guided(self) -> bool:
        """Whether the model has guidance; some are distilled to need none."""
        return True

    @property
    def distilled(self) -> bool:
        """Whether the model was distilled to draw in a few steps."""
        return False

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
        return schedule_of(self.pipe.scheduler, self.shifted_by_size)

    def _shift(self, tokens: int) -> float:
        """mu, by which a sampler with dynamic shifting shifts the times of an image of so many tokens.

        A line through two sizes, as the pipelines of FLUX.1, Qwen-Image and others have it.
        """
        config = self.pipe.scheduler.config
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return least + (most - least) * (tokens - low) / (high - low)

    def _tokens(self, shape: torch.Size) -> int:
        """How many tokens the denoiser makes of latents."""
        return shape[-2] * shape[-1] // self.patch**2

    def times(self, quantiles: Tensor, shape: torch.Size) -> Tensor:
        """Timesteps for latents ``[batch, channels, height, width]``, as `Schedule.times`: shifted as they are drawn.

        Args:
            quantiles: ``[batch]``, on the CPU.
            shape: of the latents.
        """
        if isinstance(self.schedule, Flow):
            return self.schedule.times(quantiles, self.shift(shape))
        return self.schedule.times(quantiles)

    def shift(self, shape: torch.Size) -> float | None:
        """mu, as the sampler is told it for latents of a shape; None where it does not shift by size."""
        by_size = isinstance(self.schedule, Flow) and self.schedule.by_size
        return self._shift(self._tokens(shape)) if by_size else None

    def latent_shape(self, size: int | None) -> tuple[int, int, int]:
        """Channels, height and width of the latents of an image.

        Args:
            size: its side in pixels; None: the model's own.
        """
        side = self.denoiser.config.sample_size if size is None else size // self.pipe.vae_scale_factor
        return self.denoiser.config.in_channels, side, side

    def pixels(self, shape: torch.Size) -> int:
        """The side of the image of latents ``[.., height, width]``."""
        return int(shape[-1] * self.pipe.vae_scale_factor)

    @contextmanager
    def running(self, mask: Tensor | None) -> Iterator[None]:
        """Context for every denoiser call: gives gates the padding mask and selects the attention kernel."""
        self._mask = mask
        masking = getattr(self.denoiser, MASKING, nullcontext)
        with masking(mask), running.attention(self.machine.attention):
            yield

    @torch.no_grad()
    def embed(self, texts: list[str], batch_size: int | None = None) -> Embeddings:
        """Prompt embeddings of texts, as the pipeline itself makes them, on the CPU.

        Raises:
            ValueError: a text holds a word that the model has never seen (models of a closed vocabulary only).
        """
        self._check_words(texts)
        size, parts = batch_size or self.texts_at_once, []
        for start in range(0, len(texts), size):
            found = self._embed(texts[start : start + size])
            parts.append(found.to(torch.device("cpu"), found.hidden.dtype))
        return Embeddings.concatenate(parts)

    def text_mask(self, texts: list[str]) -> Tensor:
        """True where a token is text, start or end mark; False where it is padding, ``[batch, tokens]``."""
        return token_mask(self.pipe.tokenizer, texts, self.pipe.tokenizer.model_max_length)

    def _check_words(self, texts: list[str]) -> None:
        """A model of a closed vocabulary has only seen the words that its tokenizer's config lists."""
        known = getattr(self.pipe.tokenizer, "init_kwargs", {}).get("closed_vocabulary")
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
        self,
        embeddings: Embeddings,
        empty: Embeddings,
        seeds: list[int],
        steps: int,
        guidance_scale: float,
        size: int | None = None,
    ) -> Tensor:
        """Final latents, one generator per image: an image's noise depends on its seed alone.

        Args:
            embeddings: of the prompts, one a seed.
            empty: of the empty prompt, one row; the unconditional branch of guidance.
            seeds: one an image.
            steps: denoising steps.
            guidance_scale: 1 is no guidance.
            size: the side of the images in pixels; None: the model's own.

        Returns:
            latents as the denoiser sees them, ``[batch, channels, height, width]``, on the CPU.

        Raises:
            ValueError: the model draws no images of that size, or has no guidance.
        """
        self._check(size, guidance_scale)
        device, dtype = self.device, self.denoiser.dtype
        texts, without = embeddings.to(device, dtype), empty.to(device, dtype).expand(len(seeds))
        told = self._told(texts, without, guidance_scale)
        mask = None if self.follows_calls else texts.mask
        if mask is not None and guidance_scale > 1:  # the pipeline puts the unconditional half first
            mask = torch.cat([without.mask, mask])
        with self.running(mask):
            latents = self._drawn(
                {
                    **told,
                    **({} if size is None else {"height": size, "width": size}),
                    "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
                    "num_inference_steps": steps,
                }
            )
        return self._stored(latents, size).cpu()

    def _drawn(self, told: dict[str, Any]) -> Tensor:
        """The pipeline's last latents."""
        latents: Tensor = self.pipe(**told, output_type="latent").images
        return latents

    def _check(self, size: int | None, guidance_scale: float) -> None:
        step = self.patch * self.pipe.vae_scale_factor
        if size is not None and size % step:
            raise ValueError(f"size: {size} pixels; the sides of this model's images are multiples of {step}")
        if guidance_scale > 1 and not self.guided:
            raise ValueError(
                f"guidance_scale: {guidance_scale:g}; this {self.pipeline_class} was distilled to need none. "
                "Set it to 1"
            )

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Images ``uint8 [batch, height, width, 3]`` of latents.

        Raises:
            ValueError: an image is not finite.
        """
        vae = self.pipe.vae
        images = vae.decode(self._unscaled(latents.to(self.device, vae.dtype)), return_dict=False)[0]
        if images.ndim == 5:  # of a decoder of films: of one frame
            images = images[:, :, 0]
        if not torch.isfinite(images).all():
            raise ValueError("the decoder gave an image that is not finite; try model.dtype: float32")
        shown = self.pipe.image_processor.postprocess(images.float(), output_type="pt")  # 0 to 1, on the device
        pixels = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        array: NDArray[np.uint8] = pixels.cpu().numpy()
        return array

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Embeddings) -> Tensor:
        """The denoiser's output for noisy latents, in the prediction type of `schedule`."""
        texts = embeddings.to(self.device, self.denoiser.dtype)
        with self.running(texts.mask):
            return self._denoise(noisy.to(self.denoiser.dtype), timesteps, texts)


def token_mask(tokenizer: Any, texts: list[str], length: int) -> Tensor:
    """Which of a tokenizer's tokens are no padding, bool ``[batch, length]``."""
    encoded = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return encoded.attention_mask.bool()
