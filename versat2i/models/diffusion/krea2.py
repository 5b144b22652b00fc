"""Krea 2, Raw and Turbo."""

from typing import Any

from torch import Tensor

from versat2i.models.diffusion import names
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.models.diffusion.masked import Masked
from versat2i.models.diffusion.packed import Packed, pack, unpack
from versat2i.models.diffusion.qwen_image import film

TOKENS = 512  # the pipeline's own length
DISTILLED_SHIFT = 1.15  # mu of Turbo, whatever the size


class Krea2(Masked, Packed):
    """Twelve layers of Qwen3-VL, which the denoiser fuses itself; Qwen-Image's decoder."""

    pipeline_class = "Krea2Pipeline"
    family = "krea2"
    denoiser_class = "Krea2Transformer2DModel"
    layers = names.Layers(
        attention=("to_q", "to_k", "to_v", "to_gate", "to_out.0"),
        feed_forward=("ff.gate", "ff.up", "ff.down"),
        reads=((r"^transformer_blocks\.", names.text_then_image),),
    )
    texts_at_once = 16
    default_size = 1024
    mask_name = "prompt_embeds_mask"
    in_one_call = False

    def text_shape(self) -> tuple[tuple[int, ...], None]:
        config = self.denoiser.config
        return (TOKENS, config.num_text_layers, config.text_hidden_dim), None

    def _embed(self, texts: list[str]) -> Embeddings:
        hidden, mask = self.pipe.encode_prompt(texts, device=self.device)
        return Embeddings(hidden, mask.bool())

    def _mask_told(self, texts: Embeddings) -> Tensor:
        return texts.mask

    @classmethod
    def scale(cls, guidance_scale: float) -> dict[str, Any]:
        """The pipeline adds its scale times the difference to the prediction of the prompts: 0 is no guidance."""
        return {"guidance_scale": guidance_scale - 1}

    @property
    def distilled(self) -> bool:
        return bool(self.pipe.config.is_distilled)

    def _shift(self, tokens: int) -> float:
        return DISTILLED_SHIFT if self.pipe.config.is_distilled else super()._shift(tokens)

    def _denoise(self, noisy: Tensor, timesteps: Tensor, texts: Embeddings) -> Tensor:
        height, width = noisy.shape[-2:]
        found = self.denoiser(
            hidden_states=pack(noisy),
            encoder_hidden_states=texts.hidden,
            timestep=(timesteps / 1000).to(noisy.dtype),
            position_ids=self.pipe.prepare_position_ids(
                texts.hidden.shape[1], height // self.patch, width // self.patch, noisy.device
            ),
            encoder_attention_mask=texts.mask,
            return_dict=False,
        )[0]
        return unpack(found, height, width)

    def _unscaled(self, latents: Tensor) -> Tensor:
        return film(latents, self.pipe.vae.config)
