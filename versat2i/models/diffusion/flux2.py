"""FLUX.2: klein, guided by a second pass or distilled, and dev, which is told its guidance."""

from typing import Any

import torch
from diffusers.pipelines.flux2.pipeline_flux2 import SYSTEM_MESSAGE, compute_empirical_mu, format_input
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.base import token_mask
from versat2i.models.diffusion.branches import Branches
from versat2i.models.diffusion.embeddings import Embeddings

TOKENS = 512  # the pipeline's own length
STEPS = 50  # of the pipeline's own, on which the shift of its times depends too
GUIDANCE = 4.0  # the pipeline's own scale, told to dev's denoiser in training


class Klein(Branches):
    """Three layers of Qwen3, padding among them; latents in squares of 2 x 2, normalised by the decoder's statistics.

    Stored latents are those squares, ``[batch, 4 * channels, height / 2, width / 2]``.
    """

    pipeline_class = "Flux2KleinPipeline"
    family = "flux2"
    denoiser_name = "transformer"
    denoiser_class = "Flux2Transformer2DModel"
    layers = names.Layers(
        attention=(*names.ATTENTION, "to_qkv_mlp_proj", "to_out"),  # the last two of single-stream blocks
        feed_forward=("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out"),
        blocks=("transformer_blocks.", "single_transformer_blocks."),
        reads=(
            (r"\.attn\.(add_[qkv]_proj|to_add_out)$|\.ff_context\.", names.text_alone),
            (r"^single_transformer_blocks\.", names.text_then_image),
        ),
    )
    in_one_call = False
    texts_at_once = 16
    patch = 2
    shifted_by_size = True

    @property
    def guided(self) -> bool:
        return not self.pipe.config.get("is_distilled", False)

    @property
    def distilled(self) -> bool:
        return not self.guided

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (TOKENS, self.denoiser.config.joint_attention_dim), None

    def _encode(self, texts: list[str]) -> tuple[Tensor, None]:
        hidden, _ = self._encode_prompt(texts, self.device, max_sequence_length=TOKENS)
        return hidden, None

    def text_mask(self, texts: list[str]) -> Tensor:
        chats = [
            self.pipe.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            for text in texts
        ]
        return token_mask(self.pipe.tokenizer, chats, TOKENS)

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        told = super()._told(texts, empty, guidance_scale) | {
            "prompt_embeds": texts.hidden,
            "guidance_scale": guidance_scale,
        }
        return told | ({"negative_prompt_embeds": empty.hidden} if guidance_scale > 1 else {})

    def _drawn(self, told: dict[str, Any]) -> Tensor:
        """The last latents as they are within the pipeline, which returns them scaled back."""
        last: dict[str, Tensor] = {}

        def keep(pipe: object, step: int, time: object, found: dict[str, Tensor]) -> dict[str, Tensor]:
            last.update(found)
            return {}

        self.pipe(**told, output_type="latent", callback_on_step_end=keep)
        return last["latents"]

    def _side(self, size: int | None) -> int:
        """In squares."""
        side = self.pipe.default_sample_size if size is None else size // self.pipe.vae_scale_factor
        return int(side) // self.patch

    def latent_shape(self, size: int | None) -> tuple[int, int, int]:
        side = self._side(size)
        return self.denoiser.config.in_channels, side, side

    def pixels(self, shape: torch.Size) -> int:
        return super().pixels(shape) * self.patch

    def _tokens(self, shape: torch.Size) -> int:
        return shape[-2] * shape[-1]

    def _shift(self, tokens: int) -> float:
        return float(compute_empirical_mu(tokens, STEPS))

    def _stored(self, latents: Tensor, size: int | None) -> Tensor:
        side = self._side(size)
        return latents.mT.unflatten(2, (side, side))

    def _guidance(self, amount: int) -> Tensor | None:
        """What the denoiser is told of guidance."""
        return None

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        super()._denoise(noisy, timesteps, texts)
        guidance = self._guidance(len(noisy))
        found = self.denoiser(
            hidden_states=noisy.flatten(2).mT,
            timestep=timesteps.to(noisy.dtype) / 1000,
            guidance=None if guidance is None else guidance.to(noisy.device),
            encoder_hidden_states=texts.hidden,
            txt_ids=self.pipe._prepare_text_ids(texts.hidden).to(noisy.device),
            img_ids=self.pipe._prepare_latent_ids(noisy).to(noisy.device),
            return_dict=False,
        )[0]
        return found.mT.unflatten(2, noisy.shape[-2:])

    def _unscaled(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        mean, variance = vae.bn.running_mean.view(1, -1, 1, 1), vae.bn.running_var.view(1, -1, 1, 1)
        deviation = torch.sqrt(variance + vae.config.batch_norm_eps)
        return self.pipe._unpatchify_latents(latents * deviation.to(latents) + mean.to(latents))


class Flux2(Klein):
    """Three layers of Mistral 3; guidance is an input of the denoiser."""

    pipeline_class = "Flux2Pipeline"
    passes = 1

    def text_mask(self, texts: list[str]) -> Tensor:
        found = self.pipe.tokenizer.apply_chat_template(
            format_input(prompts=texts, system_message=SYSTEM_MESSAGE),
            add_generation_prompt=False,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=TOKENS,
        )
        mask: Tensor = found["attention_mask"].bool()
        return mask

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        Branches._told(self, texts, empty, guidance_scale)
        return {"prompt_embeds": texts.hidden, "guidance_scale": guidance_scale}

    def _guidance(self, amount: int) -> Tensor:
        return torch.full((amount,), GUIDANCE)
