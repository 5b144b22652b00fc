"""Colourfulness, contrast and balance: the parts of beauty that need no model."""

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Image, PerImage

Pixels = NDArray[np.float64]  # [height, width, 3], grey levels

SMOOTHING = 7  # pixels across the median filter; noise of 12 grey levels then adds < 1 % of colour
QUITE_COLOURFUL = 59.0  # colourfulness that observers call so (Hasler & Suesstrunk 2003, table 2)
MUCH_CONTRAST = 30.0  # grey levels; drawn scenes have 2 to 61, three quarters of them less than this
SALIENCE_FLOOR = 4.0  # times the median salience: what is below is noise of the background
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
WEIGHTS = {"colour": 0.5, "contrast": 0.25, "balance": 0.25}  # colour is what observers judge first


def colourfulness(pixels: Pixels) -> float:
    """``M = sqrt(var rg + var yb) + 0.3 sqrt((mean rg)^2 + (mean yb)^2)``.

    rg = R - G and yb = (R + G) / 2 - B are the opponent colours (Hasler & Suesstrunk 2003, eq. 11).
    M is 0 for grey, 33 for "moderately", 59 for "quite", 109 for "extremely" colourful.
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.sqrt(rg.var() + yb.var()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def contrast(pixels: Pixels) -> float:
    """Standard deviation of the luminance, grey levels, 0 to 127.5."""
    return float((pixels @ LUMINANCE).std())


def balance(pixels: Pixels) -> float:
    """``1 - |c - m| / |m|``: how near the visual weight's centre c is to the middle m, from a corner.

    A pixel weighs as much as the square of its distance from the median colour, which is that of the
    background.
    """
    salience = ((pixels - np.median(pixels, axis=(0, 1))) ** 2).sum(axis=-1)
    salience = np.maximum(salience - SALIENCE_FLOOR * np.median(salience), 0.0)
    total = salience.sum()
    if total == 0.0:
        return 0.0
    height, width = salience.shape
    x = salience.sum(axis=0) @ (np.arange(width) + 0.5) / total / width - 0.5
    y = salience.sum(axis=1) @ (np.arange(height) + 0.5) / total / height - 0.5
    return float(1.0 - np.hypot(x, y) / np.hypot(0.5, 0.5))


def _beauty(image: Image) -> float:
    """``w_1 (1 - exp(-M / 59)) + w_2 (1 - exp(-contrast / 30)) + w_3 balance``, in (0, 1).

    All of it is measured behind a median filter, or noise would count as colour.
    """
    pixels = cv2.medianBlur(image, SMOOTHING).astype(np.float64)
    parts = {
        "colour": 1.0 - np.exp(-colourfulness(pixels) / QUITE_COLOURFUL),
        "contrast": 1.0 - np.exp(-contrast(pixels) / MUCH_CONTRAST),
        "balance": balance(pixels),
    }
    return float(sum(WEIGHTS[name] * part for name, part in parts.items()))


class Classical(PerImage):
    """Weighted mean of colourfulness, contrast and balance."""

    name, metric, judge = "classical", "aesthetic", staticmethod(_beauty)
