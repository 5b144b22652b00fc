"""Models of human preference: CLIPs fine-tuned on people's choices."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Images
from versat2i.rewards.common.clip import Clip, Similarity

if TYPE_CHECKING:
    from torch import Tensor


class PickScore(Similarity):
    """``exp(logit_scale) cos(image, prompt)`` (Kirstain et al. 2023); the scale is at most 100 in a CLIP."""

    name = "pickscore"
    metric = "pickscore"
    range = (-100.0, 100.0)

    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.clip.scale * cosines


def letterbox(images: Images, side: int, mean: list[float], deviation: list[float]) -> "Tensor":
    """Longer side to the model's, bicubic, the rest black, then ``(x - mean) / deviation``, as HPSv2's authors do.

    Args:
        images: ``uint8 [batch, height, width, 3]``.
        side: pixels.
        mean: of R, G and B in [0, 1].
        deviation: likewise.

    Returns:
        ``float32 [batch, 3, side, side]``.
    """
    import torch  # heavy
    from torchvision.transforms.v2 import functional as F

    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    scale = side / max(x.shape[2:])
    height, width = (round(length * scale) for length in x.shape[2:])
    left, top = (side - width) // 2, (side - height) // 2
    x = F.resize(x, [height, width], F.InterpolationMode.BICUBIC, antialias=True)
    x = F.pad(x, [left, top, side - width - left, side - height - top])
    return F.normalize(x, mean, deviation)


class Letterboxed(Clip):
    """A CLIP that sees the whole of an image that is not square, on black."""

    def pixels(self, images: Images) -> "Tensor":
        how = self._processor.image_processor
        return letterbox(images, how.crop_size["height"], how.image_mean, how.image_std)


class HPSv2(Similarity):
    """``cos(image, prompt)`` (Wu et al. 2023), with weights in the format of transformers."""

    sees = Letterboxed
    name = "hpsv2"
    metric = "hpsv2"
    range = (-1.0, 1.0)

    def value(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return cosines
