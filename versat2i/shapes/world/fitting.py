"""Fit the ideal shapes of the embedded world to what an object covers of an image.

A coverage says of each pixel how much of it an object fills, ``float32 [64, 64]``, 0 to 1. Ideals are
as coarse and as soft as the object, so that the overlap tells its outline and neither its size nor
its blur.
"""

import itertools
import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.shapes.world.drawing import IMAGE_SIZE, OUTLINES, SUPERSAMPLING
from versat2i.shapes.world.grammar import SHAPES

Floats = NDArray[np.float32]

# The unit of length is the radius of the circle that has the object's area.
GRID = 36  # samples across
REACH = 1.8  # units from the centre to the border of the grid; a star reaches 1.6
SHARPNESS = 2.0  # of coverage, so that neither blur nor noise looks like a bent outline
STEPS = np.array([0.06, 0.06, 0.05, 2.0])  # of the search: units of x and y, share of the size, degrees
ANGLES = np.arange(-18.0, 18.1, 3.0)  # degrees
RADII = (4.2, 5.4, 7.0, 9.0, 12.0, 16.0)  # pixels: small ideals are as coarse as small objects
BLURS = (0.0, 0.7, 1.3)  # standard deviations, pixels: ideals are as soft as the objects


def median(values: Floats) -> Floats:
    """Median over the first axis, the upper one of two; `np.median` takes ten times as long on few."""
    middle = len(values) // 2
    return np.partition(values, middle, axis=0)[middle]


def steepness(coverage: Floats) -> float:
    """Median slope of a coverage, a pixel, where an object is half covered: at its edge."""
    slope = np.hypot(*(cv2.Sobel(coverage, -1, x, 1 - x, ksize=1) / 2 for x in (0, 1)))
    edge = (coverage > 0.3) & (coverage < 0.7)
    return float(median(slope[edge])) if edge.any() else 0.5


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


def place(coverage: Floats) -> tuple[float, float, float]:
    """Centre x, y and unit of length, pixels, from the moments of a coverage."""
    moments = cv2.moments(coverage)
    area = moments["m00"]
    return moments["m10"] / area, moments["m01"] / area, float(np.sqrt(area / np.pi))


def _sample(coverage: Floats, grids: Floats) -> Floats:
    """The coverage at grids laid on its centre, edges sharpened, ``[grids, GRID * GRID]``."""
    x, y, unit = place(coverage)
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
    slope = steepness(coverage)
    return min(BLURS, key=lambda blur: abs(_slope(blur) - slope))


@cache
def _ideals(radius: float, blur: float) -> Floats:
    """Samples of every shape at every angle, ``[shapes, angles, GRID * GRID]``."""
    return np.stack([[_sample(_ideal(shape, a, radius, blur), _grid()[None])[0] for a in ANGLES] for shape in SHAPES])


@cache
def lift(shape: str) -> float:
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


def best_shape(coverage: Floats) -> tuple[str, float]:
    """The shape that fits best over centre, scale and rotation, and how well, 0 to 1."""
    unit = place(coverage)[2]
    radius = min(RADII, key=lambda radius: abs(np.log(radius / unit)))
    ideals = _ideals(radius, _blur(coverage))
    samples = _sample(coverage, _alignments())
    first = _overlap(samples[:1], ideals.reshape(-1, GRID * GRID)).reshape(ideals.shape[:2])
    turned = ideals[np.arange(len(SHAPES)), first.argmax(axis=1)]
    fits = _overlap(samples, turned).max(axis=0)
    return SHAPES[int(fits.argmax())], float(fits.max())
