"""What is wrong with images from the web: the flaws that scenes are drawn with, and how often.

An image from the web is seldom sharp, clean, well composed and straight. Drawings get the same defects, so that the
model trained on them has a good and a bad side on every aspect and the pipeline has something to find.
"""

import math
import random
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()
LINES = np.array([1, 0, 0, 0, -1, 0, 0, 0], np.float32)  # scan lines, by row: every fourth lighter or darker in turn
STAMP = (slice(57, 61), slice(57, 61))  # rows and columns
STAMP_COLOR = (170, 30, 110)
CAST: dict[str, tuple[int, int, int]] = {
    "white": (-20, -20, 5),
    "black": (20, 20, -8),
    "gray": (0, 0, 0),  # any hue would make a grey picture more colourful
    "navy": (-11, 23, -11),
    "beige": (11, -23, 11),
    "teal": (8, -12, 28),
}
"""A shift of each background's hue that leaves the mean score of every evaluator where it is."""


@dataclass(frozen=True)
class Flaws:
    """How far a drawing is from a perfect one. Zero everywhere is perfect.

    Attributes:
        fade: share of the way every colour moves towards mid-grey, 0 to 1.
        bend: amplitude of a smooth wave added to outlines, as a share of the radius.
        blur: standard deviation of a Gaussian blur, pixels.
        lines: how much lighter or darker scan lines are, grey levels of 255.
        jitter: shift of each channel of the objects' colours, up or down, grey levels.
        rotation: angle that all objects are turned by, clockwise, degrees.
        stamp: share of the way the stamp's place takes the stamp's colour, 0 to 1.
        cast: share of `CAST` added to the background, 0 to 1.
        noise: standard deviation of white noise, grey levels.
    """

    fade: float = 0.0
    bend: float = 0.0
    blur: float = 0.0
    lines: float = 0.0
    jitter: float = 0.0
    rotation: float = 0.0
    stamp: float = 0.0
    cast: float = 0.0
    noise: float = 0.0


PERFECT = Flaws()
WHOLE = Flaws(fade=0.6, bend=0.16, blur=1.7, lines=14.0, jitter=16.0, rotation=12.0, stamp=1.0, cast=1.0)
"""Each flaw at its full size, large enough to live through the autoencoder; white noise would not."""

LOADINGS = {
    "fade": 0.6,
    "bend": -0.5,
    "blur": 0.5,
    "lines": 0.3,
    "jitter": 0.2,
    "rotation": 0.2,
    "stamp": 0.0,
    "cast": 0.0,
}
"""How each flaw depends on how poor an image's source is: a faded image is more often blurred, a bent one more often
bright and sharp (a hasty drawing, not a poor copy). Stamp and cast, which no evaluator sees, depend on nothing."""

ABSENT, GRADED = 0.45, 0.1  # shares of scenes without a flaw, and with a part of it; the others have it whole


def web_flaws(rng: random.Random, absent: float = ABSENT, graded: float = GRADED) -> Flaws:
    """Flaws as training data has them: each is absent or whole in nearly half of the scenes each.

    A flaw's level is ``clip((Phi(l s + sqrt(1 - l^2) e) - absent) / graded, 0, 1)`` of its whole size, with its
    loading l and standard normal s, one a scene, and e, one a flaw: the shares are exact, the correlation of two is
    ``l l'`` before Phi.

    Args:
        rng: draws s and e.
        absent: share of scenes without a flaw, 0 to 1.
        graded: share with a part of it, above 0; the others have it whole.
    """
    source = rng.gauss()
    levels = {}
    for name, loading in LOADINGS.items():
        quantile = NORMAL.cdf(loading * source + math.sqrt(1 - loading**2) * rng.gauss())
        levels[name] = min(1.0, max(0.0, (quantile - absent) / graded))
    return Flaws(**{name: level * getattr(WHOLE, name) for name, level in levels.items()})
