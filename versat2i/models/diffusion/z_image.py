"""Z-Image, Base and Turbo."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.embeddings import Embeddings

TOKENS = 512  # the pipeline's own length
MULTIPLE = 32  # of tokens, to which the denoiser fills up each text


def image_then_text(mask: Tensor, tokens: int) -> Tensor:
    """The input is the image, then the text, filled up to the longest text."""
    text = -(-mask.shape[1] // MULTIPLE) * MULTIPLE
    return F.pad(F.pad(mask, (0, text - mask.shape[1])), (tokens - text, 0), value=True)


class ZImage(Backbone):
    """The last but one layer of Qwen3, each text of its own length; a flow told backwards, from noise at 0 to 1."""

    pipeline_class = "ZImagePipeline"
    family = "z_image"
    denoiser_name = "transformer"
    denoiser_class = "ZImageTransformer2DModel"
    layers = names.Layers(
        attention=("to_q", "to_k", "to_v", "to_out.0"),
        feed_forward=("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
        blocks=("layers.", "noise_refiner.", "context_refiner."),
        reads=((r"^context_refiner\.", names.text_padded), (r"^layers\.", image_then_text)),
    )
    texts_at_once = 16
    patch = 2
    shifted_by_size = True

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (TOKENS, self.denoiser.config.cap_feat_dim), None

    def _embed(self, texts: list[str]) -> Embeddings:
        found, _ = self.pipe.encode_prompt(list(texts), self.device, do_classifier_free_guidance=False)
        return Embeddings.of_lengths(found)

    def _told(self, texts: Embeddings, empty: Embeddings, guidance_scale: float) -> dict[str, Any]:
        guided = {"negative_prompt_embeds": empty.rows()} if guidance_scale > 1 else {}
        return {"prompt_embeds": texts.rows(), **guided, **self.scale(guidance_scale)}

    @classmethod
    def scale(cls, guidance_scale: float) -> dict[str, Any]:
        """The pipeline adds its scale times the difference to the prediction of the prompts: 0 is no guidance."""
        return {"guidance_scale": guidance_scale - 1}

    @property
    def distilled(self) -> bool:
        return "turbo" in self.identity["base_model"].lower()  # its config does not say it

    def _call_mask(self, call: dict[str, Any]) -> Tensor:
        lengths = torch.tensor([len(text) for text in call["cap_feats"]])
        return torch.arange(int(lengths.max())) < lengths[:, None]

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        found = self.denoiser(list(noisy[:, :, None]), (1000 - timesteps) / 1000, texts.rows(), return_dict=False)[0]
        return -torch.stack(found)[:, :, 0]

    def latent_shape(self, size: int | None) -> tuple[int, int, int]:
        side = (size or 1024) // self.pipe.vae_scale_factor
        return self.denoiser.config.in_channels, side, side
