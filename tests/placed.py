"""Images of things where a test puts them."""

import random

from versat2i.shapes.world.drawing import PERFECT, Placed, paint
from versat2i.shapes.world.grammar import Group


def painted(*things, background="white", radius=10.0, flaws=PERFECT):
    """An image of things such as ``("red circle", 20, 32)``: look and centre."""
    placed = [Placed(Group(*look.split()), x, y, radius) for look, x, y in things]
    return paint(placed, background, random.Random(0), flaws)
