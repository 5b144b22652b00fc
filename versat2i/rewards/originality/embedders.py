"""Images as vectors of length one, of which the angle says how alike two images are."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from versat2i.models.pretrained import weights
from versat2i.rewards.common.base import OWN_LICENCE, Image, Images, Weights, pictures
from versat2i.shapes.world.drawing import IMAGE_SIZE
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES
from versat2i.shapes.world.perception import perceive

if TYPE_CHECKING:
    from torch import Tensor

Vectors = NDArray[np.float64]  # [images, d], each of length one

SCENE = "shapes"  # the embedder of the embedded world
CELLS = 4  # of the grid that places in a scene are told in, along a side


class Embedder(Protocol):
    """What makes vectors of images.

    Attributes:
        weights: what it loads.
        licence: of it and its weights.
    """

    weights: list[weights.Pretrained]
    licence: str

    def embed(self, images: Images) -> Vectors: ...


def load(name: str, dtype: str = "float32", trust_remote_code: bool = False, device: str = "cpu") -> Embedder:
    """An embedder: ``shapes`` for the embedded world, else any model of images of transformers (DINOv2, CLIP, ...).

    Args:
        name: ``shapes``, a folder, or ``repository@revision``.
        dtype: float32, float16 or bfloat16.
        trust_remote_code: whether code that comes with the model may be run.
        device: to compute on.

    Raises:
        ValueError: it is neither.
    """
    return Scenes() if name == SCENE else Seen(name, dtype, trust_remote_code, device)


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Scenes:
    """A scene of the embedded world as it is read: background, and colours and shapes by their places."""

    licence = OWN_LICENCE

    def __init__(self) -> None:
        self.weights: list[weights.Pretrained] = []

    def embed(self, images: Images) -> Vectors:
        return _unit(np.stack([self._vector(image) for image in images]))

    def _vector(self, image: Image) -> Vectors:
        """One number a background, and one a colour and a shape for each cell of a grid, what has no name included.

        A thing between cells counts for each by how near it is, so that the vector changes as smoothly as the scene.
        """
        scene = perceive(image)
        grid = np.zeros((CELLS, CELLS, len(COLORS) + len(SHAPES) + 2))
        for thing in scene.objects:
            kind = np.concatenate([_one(thing.color, COLORS), _one(thing.shape, SHAPES)])
            grid += _near(thing.y)[:, None, None] * _near(thing.x)[None, :, None] * kind
        return np.concatenate([_one(scene.background, BACKGROUNDS), grid.ravel()])


def _one(name: str | None, names: tuple[str, ...]) -> Vectors:
    """1 in the place of a name, in the last for none of them: ``[names + 1]``."""
    found = np.zeros(len(names) + 1)
    found[names.index(name) if name in names else len(names)] = 1.0
    return found


def _near(position: float) -> Vectors:
    """How near a position in pixels is to the middle of each cell, 1 to 0: ``[CELLS]``, always of length one."""
    cell = np.clip(position / IMAGE_SIZE * CELLS - 0.5, 0.0, CELLS - 1.0)
    return np.sqrt(np.maximum(0.0, 1.0 - np.abs(np.arange(CELLS) - cell)))


class Seen:
    """Any model of transformers that sees images: CLIP's image embedding, or DINOv2's token of the whole image."""

    def __init__(self, model: str, dtype: str, trust_remote_code: bool, device: str) -> None:
        self.source, self._device = weights.parse(model, dtype, trust_remote_code), device
        self.weights = [self.source]
        self.licence = f"{OWN_LICENCE}; {model}: {weights.LICENCE}"

    @cached_property
    def _model(self) -> Any:
        return self.source.model("AutoModel", device=self._device)

    @cached_property
    def _processor(self) -> Any:
        return self.source.load("AutoImageProcessor")

    def embed(self, images: Images) -> Vectors:
        import torch  # heavy

        model = self._model
        pixels = self._processor(pictures(images), return_tensors="pt")["pixel_values"].to(model.device, model.dtype)
        with torch.inference_mode():
            return _unit(self._pooled(pixels).double().cpu().numpy())

    def _pooled(self, pixels: "Tensor") -> "Tensor":
        """One vector an image."""
        seeing = getattr(self._model, "get_image_features", self._model)
        found = seeing(pixel_values=pixels)
        pooled = getattr(found, "pooler_output", None)
        return found.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)


class Embedded:
    """An evaluator by the vectors of images."""

    higher_is_better = True
    licence = f"{OWN_LICENCE}; {weights.LICENCE}"

    def __init__(
        self,
        embedder: str,
        dtype: str = "float32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        """Make one.

        Args:
            embedder: what makes vectors of images: ``shapes``, or a model, a folder or ``repository@revision``.
            dtype: of the model: float32, float16 or bfloat16.
            batch_size: images at once.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
        """
        self.embedder, self.batch_size = load(embedder, dtype, trust_remote_code, device), batch_size
        self.weights: list[Weights] = list(self.embedder.weights)
        self.licence = self.embedder.licence
