"""A second way to read a drawn scene: flat patches of CIELAB colour, shapes told apart by their moments.

It shares neither code nor method with the evaluators that select. There, pixels are blends in RGB and
shapes are templates laid over each other; here, pixels go to the nearest colour of a Lab palette and a
shape is a vector of moments. What fools one is unlikely to fool the other in the same way.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import draw, filters, measure

from versat2i.rewards.common.base import Image
from versat2i.shapes.world.drawing import OUTLINES, RGB
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIZE = 64  # pixels across, as scenes are drawn
FRAME = 3  # pixels at the border that show the background
FADES = np.linspace(0.0, 0.55, 6)  # shares of the way to mid-grey at which a colour keeps its name
FADE_COST = 20.0  # delta E for a whole fade: of two names take the one that is less faded
MIN_DIFFERENCE = 8.0  # delta E from the background; cyan on teal has 37, and half of it when faded by half
MIN_RELATIVE_DIFFERENCE = 0.25  # of the greatest in the image
ONE_COLOR = 12.0  # delta E between two medians of one colour
REACH = 9  # pixels around a flat patch, across: as far as its colour is looked for
MIN_AREA = 24  # pixels; the smallest drawn thing has 54
MAX_DISTANCE = 6.0  # from the nearest ideal, in standard deviations a descriptor; farther ones have no name

# Moments (m, k) of a shape, and how far those of web-like drawings lie from the nearest ideal's, root mean square.
SPREAD = {(2, 0): 0.010, (4, 0): 0.022, (2, 2): 0.026, (4, 2): 0.036, (3, 3): 0.036, (5, 3): 0.051,
          (4, 4): 0.018, (6, 4): 0.028, (5, 5): 0.046, (6, 6): 0.039}  # fmt: skip
ANGLES = np.radians(np.arange(-15, 16, 5))
RADII = (4.5, 6.0, 8.0, 11.0)  # pixels, of the circle of the same area
BLURS = (0.0, 0.7, 1.2)  # pixels

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)  # a pixel and its four neighbours
_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Thing:
    """A patch of one colour: names (shape None: like none of them) and the centre of its area, y down."""

    color: str
    shape: str | None
    x: float
    y: float


@dataclass(frozen=True)
class Reading:
    """A scene as it was read: its background and the things on it."""

    background: str
    things: tuple[Thing, ...]


# ----------------------------------------------------------------------------------------- colours


def _lab(rgb: np.ndarray) -> Floats:
    """CIELAB of RGB in grey levels, ``[..., 3]``."""
    flat = np.asarray(rgb, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape).astype(np.float64)


@cache
def _palette(names: tuple[str, ...]) -> Floats:
    """Every colour on its way to mid-grey, ``[names, fades, 3]``."""
    pure = np.array([RGB[name] for name in names], float)[:, None]
    return _lab(pure + (128 - pure) * FADES[:, None])


def _nearest(lab: Floats, names: tuple[str, ...]) -> NDArray[np.intp]:
    """Index of the name of each colour ``[..., 3]``, whatever its fade."""
    palette = _palette(names)
    # |p - q|^2 without |p|^2, which is the same for all q
    own = (palette**2).sum(axis=-1) + (FADE_COST * FADES) ** 2
    return (own.ravel() - 2 * lab @ palette.reshape(-1, 3).T).argmin(axis=-1) // len(FADES)


@cache
def _names_of_bins() -> NDArray[np.intp]:
    """The nearest of `COLORS` for each of 32 x 32 x 32 bins of RGB."""
    levels = np.arange(32) * 8 + 4
    return _nearest(_lab(np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)), COLORS)


def _difference(lab: Floats, color: Floats) -> Floats:
    """Delta E (CIE 1976) of every pixel from a colour, ``[height, width]``."""
    offset = lab - color
    return np.sqrt(np.einsum("...c,...c->...", offset, offset))


def _background(image: Image, lab: Floats) -> Floats:
    """The mode of the frame around the image: mean Lab of its fullest bin of RGB, ``[3]``."""
    frame = np.ones(image.shape[:2], bool)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    coarse = (image[frame] >> 5).astype(np.intp) @ (64, 8, 1)
    seed = lab[frame][coarse == np.bincount(coarse).argmax()].mean(axis=0)
    alike = lab[frame][_difference(lab[frame], seed) < 2 * MIN_DIFFERENCE]
    return alike.mean(axis=0) if len(alike) else seed


# ----------------------------------------------------------------------------------------- patches


def _flat_patches(image: Image, lab: Floats, background: Floats) -> list[tuple[Floats, Mask]]:
    """The colours that fill something: Lab ``[3]`` and the inside of what they fill."""
    difference = _difference(lab, background)
    least = max(MIN_DIFFERENCE, MIN_RELATIVE_DIFFERENCE * difference.max())
    names = np.where(difference > least, _names_of_bins()[tuple(np.moveaxis(image >> 3, -1, 0))], -1)
    found: list[tuple[Floats, Mask]] = []
    for name in np.unique(names[names >= 0]):
        inside = cv2.erode((names == name).astype(np.uint8), _CROSS, borderValue=0).astype(bool)
        if not inside.any():
            continue
        color = np.median(lab[inside], axis=0)
        twins = [mask for other, mask in found if np.linalg.norm(color - other) < ONE_COLOR]
        if twins:
            twins[0] |= inside
        else:
            found.append((color, inside))
    return found


def _components(lab: Floats, background: Floats, patches: list[tuple[Floats, Mask]]) -> list[tuple[Floats, Floats]]:
    """Colour and membership ``[height, width]`` of each connected patch of one colour.

    The membership of a pixel is that of fuzzy clustering between the patch and the background,
    ``d_background / (d_background + d_patch)``, in the patch and on its rim.
    """
    away = _difference(lab, background)
    distances = []
    for color, inside in patches:
        near = cv2.dilate(inside.astype(np.uint8), np.ones((REACH, REACH), np.uint8)).astype(bool)
        distances.append(np.where(near, _difference(lab, color), np.inf))
    labels = np.argmin([away, *distances], axis=0)
    found = []
    for number, (color, inside) in enumerate(patches, start=1):
        regions, amount = measure.label(labels == number, connectivity=1, return_num=True)
        for region in range(1, amount + 1):
            mask = regions == region
            if mask.sum() < MIN_AREA or not (mask & inside).any():
                continue
            member = away / (away + _difference(lab, color) + 1e-9)
            found.append((color, _trimmed(member, mask, labels == 0)))
    return found


# ------------------------------------------------------------------------------------------ shapes


def _centre(member: Floats) -> tuple[float, float]:
    """Centre of a membership; pixel i covers [i, i + 1)."""
    rows, columns = (member.sum(axis=axis) for axis in (1, 0))
    at = np.arange(SIZE) + 0.5
    return float(columns @ at / columns.sum()), float(rows @ at / rows.sum())


def descriptor(member: Floats) -> NDArray[np.complex128]:
    """Complex moments around the centre, ``c_mk = sum_p w_p (rho_p / R)^m exp(-i k theta_p) / A``.

    A is the area ``sum_p w_p`` and R the radius of the circle that has it, so that neither place nor
    size enters; a rotation by phi turns c_mk by ``-k phi``. Squares live in k = 4, stars in k = 5.

    Args:
        member: the weights w, ``[height, width]``.

    Returns:
        One number for each (m, k) of `SPREAD`.
    """
    x, y = _centre(member)
    rows, columns = np.nonzero(member)
    weights = member[rows, columns]
    area = weights.sum()
    point = ((columns + 0.5 - x) + 1j * (rows + 0.5 - y)) / np.sqrt(area / np.pi)
    rho = np.abs(point)
    turn = point.conj() / np.maximum(rho, 1e-9)  # exp(-i theta)
    return np.array([(weights * rho**m * turn**k).sum() for m, k in SPREAD]) / area


def _trimmed(member: Floats, mask: Mask, free: Mask) -> Floats:
    """The membership of a patch and of the free pixels around it, 0 elsewhere."""
    rim = cv2.dilate(mask.astype(np.uint8), _AROUND).astype(bool)
    return np.where(mask | (rim & free), member, 0.0)


def _area(points: Floats) -> float:
    """Area of a polygon ``[corners, 2]``, by the shoelace formula."""
    x, y = points.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def _ideal(shape: str, radius: float, blur: float) -> Floats:
    """Membership of an ideal shape in the middle, with the area of a circle of `radius` pixels."""
    fine = 8  # samples a pixel, each way
    canvas = np.zeros((SIZE * fine, SIZE * fine))
    points = OUTLINES[shape] * radius * np.sqrt(np.pi / _area(OUTLINES[shape])) + SIZE / 2
    canvas[draw.polygon(*(points.T[::-1] * fine - 0.5))] = 1.0
    pixels = filters.gaussian(canvas.reshape(SIZE, fine, SIZE, fine).mean(axis=(1, 3)), blur)
    return _trimmed(pixels, pixels > 0.5, pixels <= 0.5)


@cache
def _ideals() -> NDArray[np.complex128]:
    """Descriptors of the ideal shapes, ``[shapes, looks, orders]``: a look is a size, blur and angle."""
    sizes = [[descriptor(_ideal(shape, r, b)) for r in RADII for b in BLURS] for shape in SHAPES]
    turns = np.exp(-1j * ANGLES[:, None] * [k for _, k in SPREAD])
    return (np.array(sizes)[:, :, None] * turns).reshape(len(SHAPES), -1, len(SPREAD))


def name_shape(member: Floats) -> str | None:
    """The shape whose ideal has the nearest descriptor, None if it is far from all."""
    apart = (_ideals() - descriptor(member)) / list(SPREAD.values())
    distances = np.sqrt((np.abs(apart) ** 2).mean(axis=-1)).min(axis=1)
    return SHAPES[int(distances.argmin())] if distances.min() < MAX_DISTANCE else None


# ---------------------------------------------------------------------------------------- the scene


def read(image: Image) -> Reading:
    """What an image ``uint8 [height, width, 3]`` shows; other sizes than 64x64 are resized."""
    resized = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    smooth = np.asarray(cv2.bilateralFilter(resized, d=5, sigmaColor=40.0, sigmaSpace=1.5), np.uint8)
    lab = _lab(smooth)
    background = _background(smooth, lab)
    patches = _components(lab, background, _flat_patches(smooth, lab, background))
    things = [Thing(COLORS[_nearest(color, COLORS)], name_shape(member), *_centre(member)) for color, member in patches]
    return Reading(BACKGROUNDS[_nearest(background, BACKGROUNDS)], tuple(things))
