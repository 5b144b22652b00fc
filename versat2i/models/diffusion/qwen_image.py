"""Qwen-Image."""

from typing import Any

import torch
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.masked import Masked
from versat2i.models.diffusion.packed import Packed, pack, unpack

TOKENS = 512  # the pipeline's own length
EMPTY = " "  # what the pipeline is guided away from


def film(latents: Tensor, config: Any) -> Tensor:
    """One frame as the decoder takes it, ``[batch, channels, 1, height, width]``: by channel, ``z * std + mean``."""
    mean, deviation = (torch.tensor(config[key]).view(1, -1, 1, 1, 1) for key in ("latents_mean", "latents_std"))
    return latents[:, :, None] / (1.0 / deviation.to(latents)) + mean.to(latents)


class QwenImage(Masked, Packed):
    """Qwen-Image: Qwen2.5-VL's last layer, padded to the batch's longest text; a video decoder, used for one frame."""

    pipeline_class = "QwenImagePipeline"
    family = "qwen_image"
    denoiser_class = "QwenImageTransformer2DModel"
    layers = names.Layers(
        feed_forward=("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2"),
        reads=((r"\.attn\.(add_[qkv]_proj|to_add_out)$|\.txt_mlp\.", names.text_alone),),
    )
    mask_name = "prompt_embeds_mask"
    in_one_call = False
    texts_at_once = 8  # its encoder predicts words too: 150,000 numbers a token

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (TOKENS, self.denoiser.config.joint_attention_dim), None

    def _embed(self, texts: list[str]) -> Embeddings:
        hidden, mask = self.pipe.encode_prompt([text or EMPTY for text in texts], max_sequence_length=TOKENS)
        return Embeddings(hidden, hidden.new_ones(hidden.shape[:2]).bool() if mask is None else mask.bool())

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        return super()._told(texts.trimmed(), empty, guidance_scale)

    @classmethod
    def scale(cls, guidance_scale: float) -> dict[str, Any]:
        return {"true_cfg_scale": guidance_scale}

    def _call_mask(self, call: dict[str, Any]) -> Tensor | None:
        mask = call["encoder_hidden_states_mask"]
        return None if mask is None else mask.bool()

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        texts, (height, width) = texts.trimmed(), noisy.shape[-2:]
        found = self.denoiser(
            hidden_states=pack(noisy),
            timestep=timesteps.to(noisy.dtype) / 1000,
            guidance=None,
            encoder_hidden_states_mask=None if texts.mask.all() else texts.mask.long(),
            encoder_hidden_states=texts.hidden,
            img_shapes=[[(1, height // 2, width // 2)]] * len(noisy),
            return_dict=False,
        )[0]
        return unpack(found, height, width)

    def _unscaled(self, latents: Tensor) -> Tensor:
        return film(latents, self.pipe.vae.config)
