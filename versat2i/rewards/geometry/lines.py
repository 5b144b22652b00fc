"""Do the long straight lines of a photograph run towards common vanishing points?"""

import numpy as np

from versat2i.rewards.common.base import Image, PerImage
from versat2i.rewards.geometry.segments import Segments, detect, lengths
from versat2i.rewards.geometry.vanishing import agreement, deviations, vanishing_points

LONG = 0.05  # of the diagonal, 36 pixels of 512x512: shorter ones tell their direction too roughly
MIN_LONG = 15  # segments; three directions need some each before agreement means anything


def long_segments(image: Image) -> Segments:
    """Line segments of at least a twentieth of the diagonal.

    Returns:
        ``[segments, 4]``: x1 y1 x2 y2 from the image's centre, in units of half the diagonal.
    """
    height, width = image.shape[:2]
    segments = (detect(image) - np.array([width, height, width, height]) / 2) / (np.hypot(height, width) / 2)
    return segments[lengths(segments) >= 2 * LONG]


def consensus(segments: Segments) -> float:
    """``sum_i length_i max_v agreement(angle_iv) / sum_i length_i`` over up to three vanishing points v, in [0, 1]."""
    points = vanishing_points(segments)
    if not len(points):
        return 0.0
    return float(np.average(agreement(deviations(segments, points)).max(0), weights=lengths(segments)))


def _perspective(image: Image) -> float | str:
    segments = long_segments(image)
    if len(segments) < MIN_LONG:
        return f"{len(segments)} long line segments; fewer than {MIN_LONG} tell nothing of the perspective"
    return consensus(segments)


class Lines(PerImage):
    """Share of the length of long lines that runs towards one of three vanishing points."""

    name, metric, judge = "lines", "geometry", staticmethod(_perspective)
