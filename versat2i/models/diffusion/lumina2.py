"""Lumina-Image 2.0."""

import torch
from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.masked import Masked, empty_apart

TOKENS = 256  # the pipeline's own length


def text_and_image(mask: Tensor, tokens: int) -> Tensor:
    """The input is each text without its padding, then at once the image, then padding."""
    lengths = mask.sum(1)
    image = tokens - int(lengths.max())
    return torch.arange(tokens, device=mask.device) < lengths[:, None] + image


class Lumina2(Masked):
    """The last but one layer of Gemma 2, below a system prompt but for the empty one; a flow told from 0 to 1."""

    pipeline_class = "Lumina2Pipeline"
    family = "lumina2"
    denoiser_name = "transformer"
    denoiser_class = "Lumina2Transformer2DModel"
    layers = names.Layers(
        attention=("to_q", "to_k", "to_v", "to_out.0"),
        feed_forward=("feed_forward.linear_1", "feed_forward.linear_2", "feed_forward.linear_3"),
        blocks=("layers.", "noise_refiner.", "context_refiner."),
        reads=((r"^context_refiner\.", names.text_alone), (r"^layers\.", text_and_image)),
    )
    in_one_call = False
    texts_at_once = 16
    patch = 2

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        return (TOKENS, self.denoiser.config.cap_feat_dim), None

    def _embed(self, texts: list[str]) -> Embeddings:
        return empty_apart(texts, self.pipe.encode_prompt(list(texts), device=self.device))

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        found: Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=1 - timesteps / 1000,
            encoder_hidden_states=texts.hidden,
            encoder_attention_mask=texts.mask.long(),
            return_dict=False,
        )[0]
        return -found
