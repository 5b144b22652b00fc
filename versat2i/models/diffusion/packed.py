"""Latents that a denoiser sees as tokens, each a square of 2 x 2 latents: FLUX.1, Chroma, Qwen-Image, Krea 2."""

from typing import ClassVar

from torch import Tensor

from versat2i.models.diffusion.base import Backbone


def pack(latents: Tensor) -> Tensor:
    """Tokens ``[batch, height / 2 * width / 2, 4 * channels]`` of latents ``[batch, channels, height, width]``."""
    squares = latents.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # [batch, channels, h, 2, w, 2]
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The latents of tokens, `height` and `width` in latents."""
    squares = tokens.unflatten(2, (-1, 2, 2)).unflatten(1, (height // 2, width // 2))  # [batch, h, w, channels, 2, 2]
    return squares.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


class Packed(Backbone):
    """A transformer whose pipeline keeps latents as tokens and shifts its times by the size of the image."""

    denoiser_name = "transformer"
    patch = 2
    shifted_by_size = True
    default_size: ClassVar[int | None] = None  # in pixels, of a pipeline that has no `default_sample_size`

    def _side(self, size: int | None) -> int:
        """In latents."""
        if size is None and self.default_size is None:
            return int(self.pipe.default_sample_size)
        return (size or self.default_size) // self.pipe.vae_scale_factor

    def latent_shape(self, size: int | None) -> tuple[int, int, int]:
        side = self._side(size)
        return self.denoiser.config.in_channels // self.patch**2, side, side

    def _stored(self, latents: Tensor, size: int | None) -> Tensor:
        side = self._side(size)
        return unpack(latents, side, side)
