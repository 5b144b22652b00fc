"""Read a scene of the embedded world back from its pixels: background, objects, colours, shapes.

It knows the palette and the outlines, not how the image was made, so it reads the images of an
imperfect model as well: soft, noisy, faded, bent. What it cannot name it leaves as None.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.shapes.world.drawing import IMAGE_SIZE, RGB, Image
from versat2i.shapes.world.fitting import Floats, best_shape, lift, median, place, steepness
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS

Mask = NDArray[np.bool_]

# Segmentation. Contrasts are Euclidean distances in RGB, grey levels.
MIN_CONTRAST = 22.0  # from the background; pink on beige is 71 apart, 35 when faded by half
MIN_RELATIVE_CONTRAST = 0.22  # of the greatest in the image; drawn things have at least 0.31 of it
MIN_STEEPNESS = 0.15  # of coverage, a pixel, at the edge of an object; a blotch has none
MAX_SPREAD = 45.0  # length of the channels' ranges in 3x3 pixels inside an object
MAX_RELATIVE_SPREAD = 0.4  # the same as a share of the contrast; an edge has more
SAME_COLOR = 40.0  # two patches nearer than this are of one colour
MIN_AREA = 26  # pixels; the smallest thing drawn, a star of radius 6, has 54

# Naming.
FADES = np.arange(0.0, 0.65, 0.05)  # shares of the way to mid-grey
FADE_COST = 400.0  # squared grey levels for a whole fade: prefer the least that explains the image
MAX_COLOR_ERROR = 62.0  # grey levels from a named colour; red and orange are 103 apart
MIN_FIT = 0.8  # poorer objects have no name

_AROUND = np.ones((3, 3), np.uint8)  # a pixel and its neighbours


@dataclass(frozen=True)
class Object:
    """A thing in the scene.

    Attributes:
        shape: its name, None where no shape fits.
        color: its name, None where no colour is near.
        x: centre, as `drawing.Placed` has it; of its area, without a shape. Pixel i covers [i, i + 1).
        y: the same, pointing down.
        radius: of the circle of the same area, pixels.
        mask: its pixels, ``bool [64, 64]``.
        fit: intersection over union with the ideal shape that fits best, 0 to 1.
    """

    shape: str | None
    color: str | None
    x: float
    y: float
    radius: float
    mask: Mask
    fit: float


@dataclass(frozen=True)
class Scene:
    """What is in an image. Objects come from the top down."""

    background: str | None
    objects: tuple[Object, ...]


# ------------------------------------------------------------------------------------ segmentation


def _length(vectors: Floats) -> Floats:
    """Euclidean length over the last axis; `np.linalg.norm` is several times slower on short ones."""
    return np.sqrt(np.einsum("...c,...c->...", vectors, vectors))


def _border_color(image: Floats) -> Floats:
    """Median of the two outermost rings of pixels, ``[3]``."""
    inner = np.zeros(image.shape[:2], bool)
    inner[2:-2, 2:-2] = True
    return median(image[~inner])


def _cores(image: Floats, background: Floats) -> Mask:
    """Pixels inside objects: unlike the background, like their neighbours."""
    smooth = cv2.GaussianBlur(image, (3, 3), 0.8)
    contrast = _length(smooth - background)
    ranges = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, _AROUND)
    spread = _length(np.asarray(ranges, np.float32))
    least = max(MIN_CONTRAST, MIN_RELATIVE_CONTRAST * float(contrast.max()))
    return (contrast > least) & (spread < np.minimum(MAX_SPREAD, MAX_RELATIVE_SPREAD * contrast))


def _components(mask: Mask) -> list[Mask]:
    """Connected sets of pixels."""
    amount, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    return [labels == label for label in range(1, amount)]


def _colors(image: Floats, cores: Mask) -> Floats:
    """The different colours of the objects, ``[colors, 3]``, those of large objects first."""
    colors: list[Floats] = []
    for core in sorted(_components(cores), key=np.count_nonzero, reverse=True):
        color = median(image[core])
        if all(_length(color - other) > SAME_COLOR for other in colors):
            colors.append(color)
    return np.array(colors, np.float32).reshape(-1, 3)


def _coverage(image: Floats, background: Floats, colors: Floats) -> tuple[Floats, Floats]:
    """Explain each pixel p as a blend ``b + a (c - b)`` of the background b and a colour c.

    Returns:
        a, not clipped, and the distance of p from the blend with a in [0, 1]; both
        ``[colors, height, width]``.
    """
    offset, axis = image - background, colors - background
    with np.errstate(invalid="ignore"):  # a colour that is the background's: NaN, no pixel is a blend with it
        share = np.einsum("hwc,kc->khw", offset, axis) / (axis**2).sum(axis=1)[:, None, None]
    blend = share.clip(0, 1)[..., None] * axis[:, None, None]
    return share, _length(offset - blend)


def _alone(share: Floats, mask: Mask, covered: Mask, core: Mask) -> Floats:
    """Soft coverage by one object: its own pixels and the less than half covered ones around it.

    Args:
        share: of the object's colour, ``[height, width]``.
        mask: the object.
        covered: all objects.
        core: the inside of the object, where its coverage is 1.
    """
    rim = cv2.dilate(mask.view(np.uint8), _AROUND).astype(bool)
    soft = share / median(share[core]) * (rim & (mask | ~covered))
    return soft.clip(0, 1).astype(np.float32)


def _segment(image: Floats, background: Floats) -> list[tuple[Mask, Floats, Floats]]:
    """The objects: mask, colour ``[3]`` and soft coverage ``[height, width]`` of each."""
    cores = _cores(image, background)
    colors = _colors(image, cores)
    if not len(colors):
        return []
    share, error = _coverage(image, background, colors)
    label = np.where(share.max(axis=0) > 0, error.argmin(axis=0), -1)
    covered = np.take_along_axis(share, np.maximum(label, 0)[None], axis=0)[0] > 0.5
    found = []
    for k in range(len(colors)):
        for mask in _components(covered & (label == k)):
            core = mask & cores
            if mask.sum() < MIN_AREA or not core.any():
                continue
            soft = _alone(share[k], mask, covered, core)
            if steepness(soft) > MIN_STEEPNESS:
                found.append((mask, median(image[core]), soft))
    return found


# --------------------------------------------------------------------------------------- the colours


def _errors(colors: Floats, names: tuple[str, ...]) -> Floats:
    """Distances of ``colors [n, 3]`` from the palette under every fade, ``[fades, n, names]``."""
    palette = np.array([RGB[name] for name in names], np.float32)
    faded = palette + (128 - palette) * FADES[:, None, None]
    return _length(colors[None, :, None] - faded[:, None])


def _name_colors(background: Floats, colors: Floats) -> list[str | None]:
    """Name the background, then ``colors [n, 3]``, under the one fade that explains them all best."""
    below, above = _errors(background[None], BACKGROUNDS), _errors(colors, COLORS)
    nearest = np.concatenate([below.min(axis=2), above.min(axis=2)], axis=1)
    best = int(((nearest**2).mean(axis=1) + FADE_COST * FADES).argmin())
    names = [BACKGROUNDS[below[best, 0].argmin()]] + [COLORS[i] for i in above[best].argmin(axis=1)]
    limit = MAX_COLOR_ERROR * (1 - FADES[best] / 2)
    return [name if error < limit else None for name, error in zip(names, nearest[best], strict=True)]


# ------------------------------------------------------------------------------------------ the scene


def perceive(image: Image) -> Scene:
    """What an image shows.

    Args:
        image: ``uint8 [height, width, 3]``, RGB; other sizes than 64x64 are resized.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image uint8 [height, width, 3], got {image.dtype} {image.shape}")
    resized = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    pixels = np.asarray(resized, np.float32)
    border = _border_color(pixels)
    parts = _segment(pixels, border)
    colors = np.array([color for _, color, _ in parts], np.float32).reshape(-1, 3)
    background, *names = _name_colors(border, colors)
    objects = []
    for (mask, _, coverage), color in zip(parts, names, strict=True):
        x, y, radius = place(coverage)
        best, fit = best_shape(coverage)
        shape = best if fit >= MIN_FIT else None
        rise = lift(shape) * radius if shape else 0.0
        objects.append(Object(shape, color, x + 0.5, y + 0.5 - rise, radius, mask, fit))
    return Scene(background, tuple(sorted(objects, key=lambda o: (o.y, o.x))))
