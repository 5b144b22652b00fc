"""Do an image's line segments look like those of a photograph, to the classifier of Sarkar et al. (2024)?"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import OWN_LICENCE, Image, Images, Prompt, Verdicts
from versat2i.rewards.geometry import pointnet
from versat2i.rewards.geometry.segments import Segments, detect
from versat2i.work import files

SIDE = 256  # pixels of the images that it was trained on
MOST = 250  # segments that it was shown of an image
FEWEST = 15  # as for `lines`; photographs have about 80
SEED = 0  # of the choice among more than `MOST`


def square(image: Image) -> Image:
    """The middle of an image, ``uint8 [256, 256, 3]``."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.ascontiguousarray(image[top : top + side, left : left + side])
    smoothing = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=smoothing), np.uint8)


def chosen(segments: Segments, replace: bool = True) -> Segments:
    """All of them, or `MOST` by a seeded draw from at least as many.

    Args:
        segments: ``[segments, 4]``.
        replace: whether one may be drawn again, as by the classifier's authors: of 250 it then sees about 158.
    """
    if len(segments) < MOST:
        return segments
    return segments[np.random.default_rng(SEED).choice(len(segments), MOST, replace=replace)]


def seen(image: Image, replace: bool = True) -> Segments | str:
    """Line segments that the classifier is shown of an image, or the reason to abstain.

    Args:
        image: ``uint8 [height, width, 3]``.
        replace: as for `chosen`.
    """
    found = detect(square(image))
    if len(found) < FEWEST:
        return f"{len(found)} line segments; fewer than {FEWEST} tell nothing of the perspective"
    return chosen(found, replace)


def read(path: Path) -> pointnet.Weights:
    """The weights of a checkpoint: safetensors, or a file of torch that holds nothing but tensors.

    Raises:
        ValueError: it cannot be read, or holds other weights.
    """
    import torch  # heavy
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        return pointnet.checked(found)
    except (OSError, RuntimeError, UnpicklingError, SafetensorError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: no weights of the line-segment classifier ({' '.join(str(error).split())[:300]}). Take "
            "Lines_combined.pt, Lines_indoor.pt or Lines_outdoor.pt as its authors publish them"
        ) from None


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights on this machine."""

    path: Path
    remote = False

    def __str__(self) -> str:
        return str(self.path)

    @property
    def identity(self) -> str:
        """A hash of the file."""
        if not self.path.is_file():
            raise ValueError(f"{self.path}: there is no such checkpoint of the line-segment classifier")
        return files.file_hash(self.path)

    def fetch(self) -> None:
        """Nothing: the file is named by the user."""


class Projective:
    """``softmax(l)_real``, l the logits of the classifier, which sees up to 250 line segments and no pixel."""

    name = "projective"
    metric = "projective"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; weights as their authors say (their code is MIT)"

    def __init__(self, checkpoint: str, batch_size: int = 64, replace: bool = True, device: str = "cpu") -> None:
        """Make one.

        Args:
            checkpoint: a file of weights, safetensors or torch's.
            batch_size: images at once.
            replace: whether the draw of 250 segments from more may take one twice, as its authors do.
            device: to compute on.
        """
        self._path, self.batch_size, self.replace, self._device = Path(checkpoint), batch_size, replace, device
        self.weights = [Checkpoint(self._path)]

    @cached_property
    def _weights(self) -> pointnet.Weights:
        return {name: value.to(self._device) for name, value in read(self._path).items()}

    def probabilities(self, sets: list[Segments]) -> NDArray[np.float64]:
        """Probability that each set of segments is of a photograph, ``float64 [sets]``."""
        import torch  # heavy

        most = max(map(len, sets))
        # one segment many times changes nothing: see `pointnet`
        same = [np.concatenate([found, found[:1].repeat(most - len(found), 0)]) for found in sets]
        device = next(iter(self._weights.values())).device
        with torch.inference_mode():
            logits = pointnet.logits(torch.tensor(np.stack(same), dtype=torch.float32, device=device), self._weights)
        return logits.double().softmax(-1)[:, 0].cpu().numpy()

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        found = [seen(image, self.replace) for image in images]
        sets = [segments for segments in found if not isinstance(segments, str)]
        batches = (sets[start : start + self.batch_size] for start in range(0, len(sets), self.batch_size))
        values = iter([float(value) for batch in batches for value in self.probabilities(batch)])
        return [reason if isinstance(reason, str) else next(values) for reason in found]
