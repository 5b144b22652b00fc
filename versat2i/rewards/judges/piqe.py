"""PIQE (Venkatanath et al. 2015), a blind measure of distortion without weights, as pyiqa has it."""

import numpy as np

from versat2i.rewards.common.base import Image, Images, Prompt, Verdicts
from versat2i.rewards.common.iqa import LICENCE, Loaded, Metric

BLOCK = 16  # pixels across


class Piqe(Metric):
    """Share of visible distortion in the blocks that the eye goes to, 0 to 100, lower is better.

    An image without such a block, one that has no texture, gets 100.
    """

    licence = LICENCE  # it has no weights

    def __init__(self, min_active: int = 0, device: str = "cpu") -> None:
        """Make one.

        Args:
            min_active: abstain under so many blocks of 16x16 pixels with texture, which tell their number rather than
                the quality: drawings of 64x64 pixels have 0 to 7 and get 93 clean, 27 with noise; a photograph of
                512x512 has hundreds. But the most blurred images have none either, and leaving them out flatters
                the mean.
            device: to compute on.
        """
        super().__init__("piqe", device=device)
        self.name, self.min_active = "piqe", min_active

    @property
    def weights(self) -> list[Loaded]:
        return []

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [self._distortion(image) for image in images]

    def _distortion(self, image: Image) -> float | str:
        (value,) = self.values(image[None])
        if not np.isfinite(value):
            return "PIQE is not finite"
        *_, activity = self.model.net.results  # of each pixel's block
        if int(activity.sum()) // BLOCK**2 < self.min_active:
            return f"fewer than {self.min_active} blocks of 16x16 pixels have texture"
        return float(value)
