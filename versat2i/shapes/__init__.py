"""The embedded world: scenes, a model of them, a reader. In: sentences, seeds. Out: drawings, answers, weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from versat2i.shapes.world.drawing import Image
    from versat2i.shapes.world.perception import Scene

__all__ = ["answer", "perceive"]


def perceive(image: "Image") -> "Scene":
    """The objects and the background of an image, see `perception.perceive`."""
    from versat2i.shapes.world import perception  # cv2 is heavy

    return perception.perceive(image)


def answer(image: "Image", question: str, choices: Sequence[str]) -> str | None:
    """The answer that an image gives to a question, or None: cannot tell; see `answering.answer`."""
    from versat2i.shapes.world import answering

    return answering.answer(image, question, choices)
