"""Read a scene of the embedded world back from its pixels: background, objects, colours, shapes.

It knows the palette and the outlines, not how the image was made, so it reads the images of an
imperfect model as well: soft, noisy, faded, bent. What it cannot name it leaves as None.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.shapes.drawing import IMAGE_SIZE, OUTLINES, RGB, SUPERSAMPLING, Image
from versat2i.shapes.grammar import BACKGROUNDS, COLORS, SHAPES

Floats = NDArray[np.float32]
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

# Fitting. The unit of length is the radius of the circle that has the object's area.
GRID = 36  # samples across
REACH = 1.8  # units from the centre to the border of the grid; a star reaches 1.6
SHARPNESS = 2.0  # of coverage, so that neither blur nor noise looks like a bent outline
STEPS = np.array([0.06, 0.06, 0.05, 2.0])  # of the search: units of x and y, share of the size, degrees
ANGLES = np.arange(-18.0, 18.1, 3.0)  # degrees
RADII = (4.2, 5.4, 7.0, 9.0, 12.0, 16.0)  # pixels: small ideals are as coarse as small objects
BLURS = (0.0, 0.7, 1.3)  # standard deviations, pixels: ideals are as soft as the objects

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


def _median(values: Floats) -> Floats:
    """Median over the first axis, the upper one of two; `np.median` takes ten times as long on few."""
    middle = len(values) // 2
    return np.partition(values, middle, axis=0)[middle]


def _border_color(image: Floats) -> Floats:
    """Median of the two outermost rings of pixels, ``[3]``."""
    inner = np.zeros(image.shape[:2], bool)
    inner[2:-2, 2:-2] = True
    return _median(image[~inner])


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
        color = _median(image[core])
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
    share = np.einsum("hwc,kc->khw", offset, axis) / (axis**2).sum(axis=1)[:, None, None]
    blend = share.clip(0, 1)[..., None] * axis[:, None, None]
    return share, _length(offset - blend)


def _steepness(coverage: Floats) -> float:
    """Median slope of a coverage, a pixel, where an object is half covered: at its edge."""
    slope = np.hypot(*(cv2.Sobel(coverage, -1, x, 1 - x, ksize=1) / 2 for x in (0, 1)))
    edge = (coverage > 0.3) & (coverage < 0.7)
    return float(_median(slope[edge])) if edge.any() else 0.5


def _alone(share: Floats, mask: Mask, covered: Mask, core: Mask) -> Floats:
    """Soft coverage by one object: its own pixels and the less than half covered ones around it.

    Args:
        share: of the object's colour, ``[height, width]``.
        mask: the object.
        covered: all objects.
        core: the inside of the object, where its coverage is 1.
    """
    rim = cv2.dilate(mask.view(np.uint8), _AROUND).astype(bool)
    soft = share / _median(share[core]) * (rim & (mask | ~covered))
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
            if _steepness(soft) > MIN_STEEPNESS:
                found.append((mask, _median(image[core]), soft))
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


# ---------------------------------------------------------------------------------------- the shapes


@cache
def _grid() -> Floats:
    """Sample points around a centre, in units, ``[GRID, GRID, 2]``."""
    line = np.linspace(-REACH, REACH, GRID, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), axis=2)


@cache
def _alignments() -> Floats:
    """Grids moved, scaled and turned a little, ``[alignments, GRID, GRID, 2]``; the first is not.

    A central composite design: whole steps along each axis, half steps along all of them at
    once for half of the combinations of signs.
    """
    axes = [sign * np.eye(4)[i] for i in range(4) for sign in (-1, 1)]
    corners = [np.array(signs) / 2 for signs in itertools.product((-1, 1), repeat=4) if math.prod(signs) == 1]
    grids = []
    for x, y, size, angle in [np.zeros(4), *axes, *corners] * STEPS:
        turn = cv2.getRotationMatrix2D((0, 0), angle, 1 + size)[:, :2]
        grids.append(_grid() @ turn.T + (x, y))
    return np.stack(grids).astype(np.float32)


def _place(coverage: Floats) -> tuple[float, float, float]:
    """Centre x, y and unit of length, pixels, from the moments of a coverage."""
    moments = cv2.moments(coverage)
    area = moments["m00"]
    return moments["m10"] / area, moments["m01"] / area, float(np.sqrt(area / np.pi))


def _sample(coverage: Floats, grids: Floats) -> Floats:
    """The coverage at grids laid on its centre, edges sharpened, ``[grids, GRID * GRID]``."""
    x, y, unit = _place(coverage)
    columns, rows = (grids[..., i].reshape(-1, GRID) * unit + centre for i, centre in enumerate((x, y)))
    sharp = (coverage - 0.5) * SHARPNESS + 0.5  # not clipped: interpolation comes first
    values = cv2.remap(sharp, columns, rows, cv2.INTER_LINEAR, borderValue=0.5 - SHARPNESS / 2)
    return np.asarray(values, np.float32).clip(0, 1).reshape(len(grids), -1)


def _ideal(shape: str, angle: float, radius: float, blur: float) -> Floats:
    """Coverage of an ideal shape in the middle, with the area of a circle of `radius` pixels."""
    size, fractional_bits = IMAGE_SIZE * SUPERSAMPLING, 4
    canvas = np.zeros((size, size), np.float32)
    points = OUTLINES[shape] @ cv2.getRotationMatrix2D((0, 0), angle, 1.0)[:, :2].T
    area = cv2.contourArea(points.astype(np.float32))
    points = (points * radius * np.sqrt(np.pi / area) + IMAGE_SIZE / 2) * SUPERSAMPLING
    corners = np.round(points * 2**fractional_bits).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 1.0, shift=fractional_bits)
    image = cv2.resize(canvas, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur) if blur else image, np.float32)


def _slope(blur: float) -> float:
    """Slope in the middle of a blurred edge by central differences, ``erf(1 / (s sqrt 2)) / 2``.

    The variance s^2 is that of the blur and of a pixel, a box of variance 1/12, together.
    """
    return math.erf(1 / math.sqrt(2 * (blur**2 + 1 / 12))) / 2


def _blur(coverage: Floats) -> float:
    """Which of `BLURS` the edges of an object have."""
    steepness = _steepness(coverage)
    return min(BLURS, key=lambda blur: abs(_slope(blur) - steepness))


@cache
def _ideals(radius: float, blur: float) -> Floats:
    """Samples of every shape at every angle, ``[shapes, angles, GRID * GRID]``."""
    return np.stack([[_sample(_ideal(shape, a, radius, blur), _grid()[None])[0] for a in ANGLES] for shape in SHAPES])


@cache
def _lift(shape: str) -> float:
    """How far the centre of a shape lies above the centre of its area, in units."""
    moments = cv2.moments(OUTLINES[shape].astype(np.float32))
    return float(moments["m01"] / moments["m00"] / np.sqrt(moments["m00"] / np.pi))


def _overlap(first: Floats, second: Floats) -> Floats:
    """Soft intersection over union, ``f.s / (f.f + s.s - f.s)``; for masks it is the usual one.

    Args:
        first: ``[n, samples]``.
        second: ``[m, samples]``.

    Returns:
        ``[n, m]``, in [0, 1].
    """
    both = first @ second.T
    sizes = [np.einsum("ns,ns->n", samples, samples) for samples in (first, second)]
    return both / (sizes[0][:, None] + sizes[1] - both)


def _fit(coverage: Floats) -> tuple[str, float]:
    """The shape that fits best over centre, scale and rotation, and how well, 0 to 1."""
    unit = _place(coverage)[2]
    radius = min(RADII, key=lambda radius: abs(np.log(radius / unit)))
    ideals = _ideals(radius, _blur(coverage))
    samples = _sample(coverage, _alignments())
    first = _overlap(samples[:1], ideals.reshape(-1, GRID * GRID)).reshape(ideals.shape[:2])
    turned = ideals[np.arange(len(SHAPES)), first.argmax(axis=1)]
    fits = _overlap(samples, turned).max(axis=0)
    return SHAPES[int(fits.argmax())], float(fits.max())


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
        x, y, radius = _place(coverage)
        best, fit = _fit(coverage)
        shape = best if fit >= MIN_FIT else None
        lift = _lift(shape) * radius if shape else 0.0
        objects.append(Object(shape, color, x + 0.5, y + 0.5 - lift, radius, mask, fit))
    return Scene(background, tuple(sorted(objects, key=lambda o: (o.y, o.x))))
