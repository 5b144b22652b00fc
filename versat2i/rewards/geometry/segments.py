"""Line segments of an image."""

import cv2
import numpy as np
from numpy.typing import NDArray

from versat2i.rewards.common.base import Image

Segments = NDArray[np.float64]  # [segments, 4], x1 y1 x2 y2


def detect(image: Image) -> Segments:
    """Straight edges, in pixels from the upper left corner (LSD, von Gioi et al. 2010)."""
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    found = cv2.createLineSegmentDetector().detect(gray)[0]
    if found is None:
        return np.empty((0, 4))
    return found.reshape(-1, 4).astype(np.float64)  # OpenCV 5 gives [n, 4], OpenCV 4 [n, 1, 4]


def lengths(segments: Segments) -> NDArray[np.float64]:
    """Length of each segment, ``[segments]``."""
    return np.hypot(*(segments[:, 2:] - segments[:, :2]).T)
