"""Vanishing points of line segments, by seeded RANSAC.

Lines that are parallel in the world meet in one point of a photograph, or at infinity. A point is
``(x, y, w)``, homogeneous; w = 0 is a direction.
"""

import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.geometry.segments import Segments, lengths

Points = NDArray[np.float64]  # [points, 3], of unit length

MOST = 3  # directions of a world of boxes
TRIALS = 1000  # pairs of segments; of a direction that owns a quarter of the length, 60 of them
TOLERANCE = np.radians(3.0)  # from a segment to its point; LSD is within 1 degree for 30 pixels and more
MIN_SUPPORT = 4  # segments; two always meet, and chance sends a third there
SEED = 0


def deviations(segments: Segments, points: Points) -> NDArray[np.float64]:
    """Angle between each segment and the line from its middle to each point, ``[points, segments]``.

    ``atan2(|d x u|, |d . u|)`` with d along the segment and ``u = (x, y) - w m`` from its middle m to
    the point, which also holds at infinity. Radians in [0, pi / 2].
    """
    along = segments[:, 2:] - segments[:, :2]
    middle = (segments[:, 2:] + segments[:, :2]) / 2
    towards = points[:, None, :2] - points[:, None, 2:] * middle
    cross = along[:, 0] * towards[..., 1] - along[:, 1] * towards[..., 0]
    return np.arctan2(np.abs(cross), np.abs((along * towards).sum(-1)))


def agreement(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """``max(0, 1 - (angle / 3 degrees)^2)``: 1 on the point, 0 beyond the tolerance (MSAC, Torr & Zisserman 2000)."""
    return np.maximum(0.0, 1.0 - (angles / TOLERANCE) ** 2)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _lines(segments: Segments) -> NDArray[np.float64]:
    """The line ``(a, b, c)`` with ``a x + b y + c = 0`` of each segment and ``a^2 + b^2 = 1``, ``[segments, 3]``."""
    ends = segments.reshape(-1, 2, 2)
    starts, stops = (np.column_stack([ends[:, i], np.ones(len(ends))]) for i in (0, 1))
    lines = np.cross(starts, stops)
    return lines / np.hypot(lines[:, :1], lines[:, 1:2])


def _meetings(segments: Segments, weights: NDArray[np.float64], rng: np.random.Generator) -> Points:
    """Where `TRIALS` pairs of segments meet, the heavier the likelier; pairs of one line have no such point."""
    pairs = rng.choice(len(segments), size=(TRIALS, 2), p=weights / weights.sum())
    lines = _lines(segments)
    points = np.cross(lines[pairs[:, 0]], lines[pairs[:, 1]])
    return _unit(points[np.linalg.norm(points, axis=1) > 1e-9])


def _meeting(segments: Segments, weights: NDArray[np.float64]) -> Points:
    """The point nearest to all lines l_i, ``min_v sum_i weight_i (l_i . v)^2`` with ``|v| = 1``, ``[1, 3]``."""
    lines = _lines(segments)
    return np.linalg.eigh(lines.T @ (weights[:, None] * lines))[1][:, :1].T


def _best(segments: Segments, rng: np.random.Generator) -> Points | None:
    """The point that the greatest length of segments agrees on, ``[1, 3]``, or None where too few agree on any."""
    weights = lengths(segments)
    points = _meetings(segments, weights, rng)
    if not len(points):
        return None
    support = agreement(deviations(segments, points)) * weights
    best = support[np.argmax(support.sum(-1))]
    return _meeting(segments, best) if (best > 0).sum() >= MIN_SUPPORT else None


def vanishing_points(segments: Segments) -> Points:
    """Up to three points, each the best for the segments that none before it explains.

    Args:
        segments: ``[segments, 4]``, centred and of the order of 1.

    Returns:
        ``[points, 3]``, of unit length, the best supported first; the same for the same segments.
    """
    rng = np.random.default_rng(SEED)
    found: list[Points] = []
    left = segments
    while len(found) < MOST and len(left) >= MIN_SUPPORT:
        point = _best(left, rng)
        if point is None:
            break
        found.append(point)
        left = left[deviations(left, point)[0] >= TOLERANCE]
    return np.concatenate(found) if found else np.empty((0, 3))
