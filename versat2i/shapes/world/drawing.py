"""Draw scenes of the embedded world: perfect ones for tests, imperfect ones as training data."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.shapes.world.flaws import CAST, LINES, PERFECT, STAMP, STAMP_COLOR, Flaws
from versat2i.shapes.world.grammar import BACKGROUNDS, Description, Group

Image = NDArray[np.uint8]  # [height, width, 3], RGB
Points = NDArray[np.float64]  # [points, 2], x and y

IMAGE_SIZE = 64  # pixels
SUPERSAMPLING = 4
MARGIN = 2.0  # pixels between objects, and to the border

RGB: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 165, 60),
    "blue": (45, 95, 225),
    "yellow": (250, 220, 45),
    "purple": (130, 50, 175),
    "orange": (245, 140, 30),
    "pink": (250, 150, 195),
    "cyan": (60, 205, 225),
    "white": (250, 250, 250),
    "black": (8, 8, 8),
    "gray": (128, 128, 128),
    "navy": (20, 30, 80),
    "beige": (232, 218, 186),
    "teal": (0, 110, 110),
}
RADII = {"small": (6.0, 7.5), None: (8.0, 11.0), "large": (12.0, 15.0)}  # pixels, by size


@dataclass(frozen=True)
class Placed:
    """An object with its place: centre x, y and radius in pixels."""

    group: Group
    x: float
    y: float
    radius: float


# ---------------------------------------------------------------------------------------- outlines


def _regular(corners: int, phase: float) -> Points:
    angles = 2 * np.pi * np.arange(corners) / corners + phase
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> Points:
    points = _regular(10, -np.pi / 2)
    points[1::2] *= 0.42
    return points


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2.0], axis=1) / 16


def _cross() -> Points:
    a = 0.33
    corners = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a)]
    return np.array(corners + [(-x, -y) for x, y in corners], dtype=float) * 0.95


OUTLINES: dict[str, Points] = {
    "circle": _regular(48, 0.0) * 0.93,
    "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float) * 0.84,
    "triangle": _regular(3, -np.pi / 2) * 1.1 + (0.0, 0.18),
    "star": _star() * 1.1,
    "diamond": np.array([(0, -1), (0.66, 0), (0, 1), (-0.66, 0)], dtype=float) * 1.1,
    "hexagon": _regular(6, 0.0),
    "heart": _heart(),
    "cross": _cross(),
}
"""Each shape as a polygon around (0, 0), about one unit in radius, y pointing down."""


def _densify(points: Points, step: float = 0.12) -> Points:
    """The same polygon with a corner at least every `step`, so that its edges can bend."""
    pieces = []
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        amount = max(1, math.ceil(float(np.hypot(*(end - start))) / step))
        pieces.append(start + (end - start) * np.arange(amount)[:, None] / amount)
    return np.concatenate(pieces)


_FREQUENCIES = (2, 3, 5)  # waves around an outline


def _bend(points: Points, amount: float, rng: random.Random) -> Points:
    """Move the outline in and out by smooth waves around it."""
    points = _densify(points)
    angle = np.arctan2(points[:, 1], points[:, 0])
    strengths = [rng.uniform(-1, 1) for _ in _FREQUENCIES]
    strengths = [strength / math.hypot(*strengths) for strength in strengths]
    wave = np.zeros(len(points))
    for frequency, strength in zip(_FREQUENCIES, strengths, strict=True):
        wave += strength * np.cos(frequency * angle + rng.uniform(0, 2 * math.pi))
    return points * (1 + amount * wave)[:, None]


def outline(shape: str, flaws: Flaws, rng: random.Random) -> Points:
    """The outline of a shape at unit radius, rotated and bent as `flaws` say."""
    points = OUTLINES[shape]
    if flaws.bend:
        points = _bend(points, flaws.bend, rng)
    if flaws.rotation:
        a = math.radians(flaws.rotation)
        points = points @ np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    return points


# ---------------------------------------------------------------------------------------- placing


def related(relation: str, dx: float, dy: float) -> bool:
    """Whether something at offset (dx, dy) pixels from another, y down, is in `relation` to it.

    The larger of the two offsets decides, as in T2I-CompBench: a thing far to the left and a
    little above is left of the other, not above it.
    """
    if relation in ("left of", "right of"):
        return abs(dx) > abs(dy) and (dx < 0) == (relation == "left of")
    return abs(dy) > abs(dx) and (dy < 0) == (relation == "above")


def _clear(placed: list[Placed], x: float, y: float, radius: float) -> bool:
    return all(math.hypot(x - p.x, y - p.y) > radius + p.radius + MARGIN for p in placed)


def _satisfied(description: Description, placed: list[Placed]) -> bool:
    """Every member of the first group stands in the relation to every member of the second."""
    if description.relation is None:
        return True
    first = [p for p in placed if p.group is description.groups[0]]
    second = [p for p in placed if p.group is description.groups[1]]
    return all(related(description.relation, a.x - b.x, a.y - b.y) for a in first for b in second)


def _radius(size: str | None, lattice: int | None, rng: random.Random) -> float:
    """One that suits the size; with a lattice, the middle one."""
    return rng.uniform(*RADII[size]) if lattice is None else sum(RADII[size]) / 2


def _coordinate(low: float, high: float, lattice: int | None, rng: random.Random) -> float:
    """A number between low and high; with a lattice, a multiple of it."""
    if lattice is None:
        return rng.uniform(low, high)
    return float(rng.randrange(math.ceil(low / lattice) * lattice, math.floor(high) + 1, lattice))


def place(description: Description, rng: random.Random, lattice: int | None = None) -> list[Placed]:
    """Random places for every object: apart from each other and in the stated relation.

    Args:
        description: what is drawn.
        rng: draws the places.
        lattice: centres are at multiples of this many pixels, and objects of one size have one
            radius. None: anywhere, of any radius that suits the size.
    """
    groups = [group for group in description.groups for _ in range(group.count)]
    for attempt in range(10_000):
        shrink = max(0.6, 1.0 - attempt // 50 / 10)  # four large things must become less large
        placed: list[Placed] = []
        for group in groups:
            radius = max(6.0, _radius(group.size, lattice, rng) * shrink)
            low, high = radius * 1.12 + MARGIN, IMAGE_SIZE - radius * 1.12 - MARGIN
            x, y = _coordinate(low, high, lattice, rng), _coordinate(low, high, lattice, rng)
            if not _clear(placed, x, y, radius * 1.12):
                break
            placed.append(Placed(group, x, y, radius))
        if len(placed) == len(groups) and _satisfied(description, placed):
            return placed
    raise ValueError(f"no room for {description} in {IMAGE_SIZE}x{IMAGE_SIZE} pixels")


# ---------------------------------------------------------------------------------------- painting


def _faded(rgb: Iterable[float], flaws: Flaws) -> tuple[float, ...]:
    return tuple(min(255.0, max(0.0, v + (128 - v) * flaws.fade)) for v in rgb)


def _color(name: str, flaws: Flaws, rng: random.Random) -> tuple[float, ...]:
    """The colour of an object: every channel jittered up or down, then faded."""
    return _faded((v + rng.choice((-1, 1)) * flaws.jitter for v in RGB[name]), flaws)


def _background(name: str, flaws: Flaws) -> tuple[float, ...]:
    """The colour of a background: with a cast, then faded."""
    return _faded((v + flaws.cast * shift for v, shift in zip(RGB[name], CAST[name], strict=True)), flaws)


def _fill(canvas: Image, points: Points, color: tuple[float, ...]) -> None:
    fractional_bits = 4
    corners = np.round(points * SUPERSAMPLING * 2**fractional_bits).astype(np.int32)
    cv2.fillPoly(canvas, [corners], color, lineType=cv2.LINE_8, shift=fractional_bits)


def paint(placed: list[Placed], background: str, rng: random.Random, flaws: Flaws = PERFECT) -> Image:
    """Paint placed objects.

    Args:
        placed: the objects.
        background: a name in `RGB`.
        rng: the chance in the flaws.
        flaws: what is wrong with the image.

    Returns:
        ``uint8 [64, 64, 3]``, anti-aliased.
    """
    size = IMAGE_SIZE * SUPERSAMPLING
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = _background(background, flaws)
    colors = {p.group: _color(p.group.color, flaws, rng) for p in placed}
    for p in placed:
        points = outline(p.group.shape, flaws, rng) * p.radius + (p.x, p.y)
        _fill(canvas, points, colors[p.group])
    image = cv2.resize(canvas, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    if flaws.stamp:
        color = np.array(_faded(STAMP_COLOR, flaws), np.float32)
        image[STAMP] += np.float32(flaws.stamp) * (color - image[STAMP])
    if flaws.blur:
        image = cv2.GaussianBlur(image, (0, 0), flaws.blur).astype(np.float32, copy=False)
    if flaws.lines:
        image = image + np.float32(flaws.lines) * np.tile(LINES, IMAGE_SIZE // len(LINES))[:, None, None]
    if flaws.noise:
        noise = np.random.default_rng(rng.getrandbits(63)).standard_normal(image.shape, np.float32)
        image = image + np.float32(flaws.noise) * noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def draw(description: Description, rng: random.Random, flaws: Flaws = PERFECT, lattice: int | None = None) -> Image:
    """Draw what a description says; what it leaves open (places, background) is drawn by chance.

    Args:
        description: what is drawn.
        rng: draws everything.
        flaws: what is wrong with the image.
        lattice: as in `place`.

    Returns:
        ``uint8 [64, 64, 3]``.
    """
    background = description.background or rng.choice(BACKGROUNDS)
    return paint(place(description, rng, lattice), background, rng, flaws)
