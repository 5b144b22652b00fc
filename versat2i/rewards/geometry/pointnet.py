"""The PointNet of "Shadows Don't Lie and Lines Can't Bend" (Sarkar et al. 2024): are these a photo's line segments?

PointNet (Qi et al. 2017) treats each segment alike, then takes the maximum over all of them: neither their order nor
one that is there twice makes a difference. Dense layers stand as 1x1 convolutions in the published weights.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, "Tensor"]

COORDINATES = 4  # x1 y1 x2 y2 of a segment
FEATURES = 64  # of a segment where the second transform stands
CLASSES = ("real", "generated")  # in the order of the last layer
EPSILON = 1e-5  # of batch normalisation


class Layer(NamedTuple):
    """``relu(norm(W x + b))``, or ``W x + b`` where there is no norm."""

    dense: str
    norm: str | None
    width: int


def _numbered(dense: str, widths: tuple[int, ...], first: int = 1) -> tuple[Layer, ...]:
    """Layers ``<dense>_1``, ... with norms ``bn_<first>``, ..."""
    return tuple(Layer(f"{dense}_{i}", f"bn_{first + i - 1}", width) for i, width in enumerate(widths, 1))


EACH = _numbered("conv", (64, 128, 256))  # of a transform: of each segment, then
TOGETHER = _numbered("fc", (256, 128), first=4)  # of all
BEFORE = _numbered("conv", (FEATURES, FEATURES))  # the second transform
AFTER = (Layer("conv_3", "bn_3", 64), Layer("conv_4", "bn_4", 128), Layer("conv_5", "bn_5", 256))
HEAD = (*_numbered("fc", (128, 64)), Layer("fc_3", None, len(CLASSES)))
BASE = "base_pointnet."
TRANSFORMS = {f"{BASE}input_transform.": COORDINATES, f"{BASE}feature_transform.": FEATURES}


def _transform_layers(size: int) -> tuple[Layer, ...]:
    return (*EACH, *TOGETHER, Layer("fc_3", None, size * size))


def _chains() -> Iterator[tuple[str, int, tuple[Layer, ...]]]:
    """Each row of layers: the beginning of their names, the width of what goes in, the layers."""
    for prefix, size in TRANSFORMS.items():
        yield prefix, size, _transform_layers(size)
    yield BASE, COORDINATES, (*BEFORE, *AFTER)
    yield "", AFTER[-1].width, HEAD


def shapes() -> dict[str, tuple[int, ...]]:
    """The weights that there are, by name; those of a dense layer without the 1 of a convolution."""
    found: dict[str, tuple[int, ...]] = {}
    for prefix, width, layers in _chains():
        for layer in layers:
            found[f"{prefix}{layer.dense}.weight"] = (layer.width, width)
            found[f"{prefix}{layer.dense}.bias"] = (layer.width,)
            if layer.norm:
                parts = ("weight", "bias", "running_mean", "running_var")
                found |= {f"{prefix}{layer.norm}.{part}": (layer.width,) for part in parts}
            width = layer.width
    return found


def checked(weights: Weights) -> Weights:
    """The weights of `shapes`, convolutions as matrices.

    Raises:
        ValueError: one is missing or of another shape; it is named.
    """
    found = {}
    for name, shape in shapes().items():
        value = weights.get(name)
        if value is None or tuple(value.shape) not in (shape, (*shape, 1)):
            what = "is missing" if value is None else f"has the shape {list(value.shape)}"
            raise ValueError(f"{name} {what}, expected {list(shape)}")
        found[name] = value.reshape(shape).float()
    return found


def _through(x: "Tensor", weights: Weights, prefix: str, layers: tuple[Layer, ...]) -> "Tensor":
    """One layer after the other, of the last dimension of `x`."""
    from torch.nn import functional as F  # heavy

    for layer in layers:
        x = F.linear(x, weights[f"{prefix}{layer.dense}.weight"], weights[f"{prefix}{layer.dense}.bias"])
        if layer.norm:
            scale, shift, mean, variance = (
                weights[f"{prefix}{layer.norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
            x = F.relu((x - mean) * (variance + EPSILON).rsqrt() * scale + shift)
    return x


def _transformed(x: "Tensor", weights: Weights, prefix: str) -> "Tensor":
    """``x (I + T(x))``: a linear map of all segments, found from their maximum.

    Args:
        x: ``[batch, segments, size]``.
        weights: of the whole.
        prefix: of those that find T.
    """
    import torch  # heavy

    size = x.shape[-1]
    most = _through(x, weights, prefix, EACH).amax(1)
    change = _through(most, weights, prefix, _transform_layers(size)[len(EACH) :]).reshape(-1, size, size)
    return x @ (torch.eye(size).to(x) + change)


def logits(segments: "Tensor", weights: Weights) -> "Tensor":
    """``[batch, 2]``, in the order of `CLASSES`.

    Args:
        segments: ``float32 [batch, segments, 4]``, in pixels of an image of 256x256.
        weights: as `checked` gives them, on the same device.
    """
    to_points, to_features = TRANSFORMS
    x = _through(_transformed(segments, weights, to_points), weights, BASE, BEFORE)
    x = _through(_transformed(x, weights, to_features), weights, BASE, AFTER)
    return _through(x.amax(1), weights, "", HEAD)
