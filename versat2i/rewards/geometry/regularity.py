"""How near the things of an embedded scene are to ideal shapes."""

from versat2i.rewards.common.base import Image, PerImage
from versat2i.shapes.world.perception import perceive


def _regularity(image: Image) -> float | str:
    """Mean over all objects of the overlap with the ideal shape that fits best.

    Objects too bent to have a name count with the poor fit they have: leaving them out would reward
    what cannot be recognised.
    """
    fits = [thing.fit for thing in perceive(image).objects]
    return sum(fits) / len(fits) if fits else "no object was found"


class Regularity(PerImage):
    """Intersection over union of each object with its ideal shape, 1 for a perfect drawing."""

    name, metric, judge = "regularity", "geometry", staticmethod(_regularity)
