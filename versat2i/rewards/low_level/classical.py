"""Noise in flat regions and blur at edges, each measured where the other has little to say."""

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Image, PerImage

Grays = NDArray[np.float32]  # [height, width, 3], grey levels

WINDOW = np.ones((7, 7), np.uint8)  # sees all of an edge blurred by 1 pixel, 9 tenths of one by 1.5
FLAT_SHARE = 0.5  # of the pixels; objects and their edges fill less of a drawn scene
RANGE_BY_NOISE = 1.1  # times sigma: what noise behind a 3x3 median adds to a local range, measured
MIN_EDGE = 12.0  # grey levels of range; green on teal faded by 0.7 has 17
MIN_EDGE_BY_NOISE = 1.5  # times sigma; 98 % of images of white noise alone stay below
HALF_NOISE = 8.0  # grey levels of sigma that halve the score, plainly visible on a screen
HALF_WIDTH = 1.2  # pixels of edge width that halve the score: a blur of 0.9 pixels


def local_range(image: np.ndarray) -> Grays:
    """Largest minus smallest value of each channel in `WINDOW`."""
    return cv2.dilate(image, WINDOW).astype(np.float32) - cv2.erode(image, WINDOW)


def noise(image: Image) -> float:
    """Standard deviation of the noise in the flat half of an image, grey levels.

    ``sigma^2 = 2 mean(max(r, 0)^2)`` over the flat pixels, r being the distance from the 5x5 median
    towards mid-grey: clipping at 0 and 255 hides the noise on the other side.
    """
    smooth = cv2.medianBlur(image, 5)
    ranges = local_range(smooth).max(axis=-1)
    flat = ranges <= np.quantile(ranges, FLAT_SHARE)
    residual = image[flat].astype(np.float32) - smooth[flat]
    inward = np.where(smooth[flat] < 128, residual, -residual)
    return float(np.sqrt(2.0 * np.mean(np.maximum(inward, 0.0) ** 2)))


def edge_width(image: Image, sigma: float) -> float | None:
    """Standard deviation of the edges' spread, pixels, or None where no edge stands out.

    ``s = sum(C g^2) / (sqrt(3 pi) sum(g^3))``, with g the gradient's magnitude and C the local range,
    which are ``C N(x; 0, s)`` and C across an edge blurred by a Gaussian of deviation s. Neither the
    amount of edges nor their contrast enters, and strong edges weigh most. Drawn edges have 0.72: the
    size of a pixel and of the gradient's own filter.

    Args:
        image: ``[height, width, 3]``.
        sigma: its noise, grey levels.
    """
    smooth = cv2.medianBlur(image, 3)
    ranges = local_range(smooth) - RANGE_BY_NOISE * sigma
    if ranges.max() < MIN_EDGE + MIN_EDGE_BY_NOISE * sigma:
        return None
    across, down = cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    gradient = np.hypot(across, down) / 32.0  # Scharr's weights add up to 32
    edges = ranges > 0.0
    squares = gradient[edges] ** 2
    if not squares.any():  # an image of a few pixels: its borders mirror each other
        return None
    return float((ranges[edges] @ squares) / (np.sqrt(3.0 * np.pi) * (gradient[edges] @ squares)))


def _cleanliness(image: Image) -> float | str:
    """``1 / (1 + noise / 8) * 1 / (1 + (width / 1.2)^2)``, in (0, 1)."""
    sigma = noise(image)
    width = edge_width(image, sigma)
    if width is None:
        return "no edge stands out from the noise"
    return 1.0 / (1.0 + sigma / HALF_NOISE) / (1.0 + (width / HALF_WIDTH) ** 2)


class Classical(PerImage):
    """Product of cleanliness and sharpness."""

    name, metric, judge = "classical", "low_level", staticmethod(_cleanliness)
