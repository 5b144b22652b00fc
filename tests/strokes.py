"""Drawn perspectives whose vanishing points are known."""

import cv2
import numpy as np

SIZE = 512


LEFT, RIGHT, UP = (-300.0, 200.0), (900.0, 260.0), None  # pixels; the third at infinity, upright


def towards(start, point, length=150.0):
    """The end of a stroke from a start towards a vanishing point."""
    way = np.array([0.0, -1.0]) if point is None else np.subtract(point, start)
    return np.asarray(start) + length * way / np.linalg.norm(way)


def strokes(points=(LEFT, RIGHT, UP), each=14, seed=0):
    """Straight strokes towards each vanishing point, ``[strokes, 4]`` in pixels, apart from one another."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation([(x, y) for x in range(90, 450, 55) for y in range(185, 480, 46)]).astype(float)
    goals = [point for point in points for _ in range(each)]
    return np.array([[*start, *towards(start, goal)] for start, goal in zip(cells, goals, strict=False)])


def turned(pixels, degrees, seed=1):
    """Each stroke turned about its middle by a random angle of this standard deviation."""
    angles = np.radians(degrees) * np.random.default_rng(seed).standard_normal(len(pixels))
    middle, half = (pixels[:, :2] + pixels[:, 2:]) / 2, (pixels[:, 2:] - pixels[:, :2]) / 2
    half = np.column_stack(
        [
            half[:, 0] * np.cos(angles) - half[:, 1] * np.sin(angles),
            half[:, 0] * np.sin(angles) + half[:, 1] * np.cos(angles),
        ]
    )
    return np.column_stack([middle - half, middle + half])


def painted(pixels, sagitta=0.0, ink=60, paper=180):
    """An image of strokes, each bent into a parabola of this height in pixels."""
    canvas = np.full((SIZE, SIZE), paper, np.uint8)
    along = np.linspace(-1.0, 1.0, 41)
    for x1, y1, x2, y2 in pixels:
        normal = np.array([y1 - y2, x2 - x1]) / np.hypot(x2 - x1, y2 - y1)
        path = np.outer((1 - along) / 2, (x1, y1)) + np.outer((1 + along) / 2, (x2, y2))
        path += np.outer(sagitta * (1 - along**2), normal)
        cv2.polylines(canvas, [np.round(path * 16).astype(np.int32)], False, ink, 3, cv2.LINE_AA, 4)
    return canvas[..., None].repeat(3, axis=2)


def centred(pixels):
    """Pixels in the coordinates of `long_segments`."""
    return (np.asarray(pixels) - SIZE / 2) / (np.sqrt(2) * SIZE / 2)


def nearest(points, goal):
    """Angle in degrees between a vanishing point and the nearest one found, as rays from the camera."""
    ray = np.array([0.0, 1.0, 0.0]) if goal is None else np.append(centred(np.tile(goal, 2))[:2], 1.0)
    return np.degrees(np.arccos(min(1.0, np.abs(points @ ray).max() / np.linalg.norm(ray))))
