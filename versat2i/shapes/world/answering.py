"""Answer questions about a scene, from what `perception` saw in it.

The answer is one of the choices, or None where the scene does not decide the question: nothing of
the kind is there, things of the kind differ, or a thing that might be of the kind was not recognised.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from versat2i.shapes.world.drawing import Image, related
from versat2i.shapes.world.grammar import COLORS, RELATIONS, SHAPES, plural
from versat2i.shapes.world.perception import Object, Scene, perceive

_SINGULAR = {word: shape for shape in SHAPES for word in (shape, plural(shape))}
_COLOR = f"({'|'.join(COLORS)})"
_SHAPE = f"({'|'.join(sorted(_SINGULAR, key=len, reverse=True))})"
_RELATION = f"({'|'.join(RELATIONS)})"


def _surely(scene: Scene, color: str | None, shape: str | None) -> list[Object]:
    """The objects known to have this colour and this shape (None: any)."""
    return [o for o in scene.objects if color in (None, o.color) and shape in (None, o.shape)]


def _doubtful(scene: Scene, color: str, shape: str) -> bool:
    """Whether an object of unknown colour or shape may be one with this colour and shape."""
    return any(
        (o.color, o.shape) != (color, shape) and o.color in (None, color) and o.shape in (None, shape)
        for o in scene.objects
    )


def _exists(scene: Scene, color: str, shape: str) -> str | None:
    if _surely(scene, color, _SINGULAR[shape]):
        return "yes"
    return None if _doubtful(scene, color, _SINGULAR[shape]) else "no"


def _number(scene: Scene, color: str, shape: str) -> str | None:
    if _doubtful(scene, color, _SINGULAR[shape]):
        return None
    return str(len(_surely(scene, color, _SINGULAR[shape])))


def _only(words: list[str | None]) -> str | None:
    """The word that all of them are."""
    return words[0] if len(set(words)) == 1 else None


def _color_of(scene: Scene, shape: str) -> str | None:
    return _only([o.color for o in _surely(scene, None, _SINGULAR[shape])])


def _shape_of(scene: Scene, color: str) -> str | None:
    return _only([o.shape for o in _surely(scene, color, None)])


def _holds(scene: Scene, color: str, shape: str, relation: str, other_color: str, other_shape: str) -> str | None:
    """Whether the mean centre of the first kind stands in the relation to that of the second."""
    first = _surely(scene, color, _SINGULAR[shape])
    second = _surely(scene, other_color, _SINGULAR[other_shape])
    if not first or not second:
        return None
    dx = float(np.mean([o.x for o in first]) - np.mean([o.x for o in second]))
    dy = float(np.mean([o.y for o in first]) - np.mean([o.y for o in second]))
    return "yes" if related(relation, dx, dy) else "no"


def _background(scene: Scene) -> str | None:
    return scene.background


_FORMS: tuple[tuple[re.Pattern[str], Callable[..., str | None]], ...] = (
    (re.compile(rf"(?:is there an?|are there) {_COLOR} {_SHAPE}"), _exists),
    (re.compile(rf"how many {_COLOR} {_SHAPE} are there"), _number),
    (re.compile(r"what color is the background"), _background),
    (re.compile(rf"what color (?:is|are) the {_SHAPE}"), _color_of),
    (re.compile(rf"what shape (?:is|are) the {_COLOR} objects?"), _shape_of),
    (re.compile(rf"(?:is|are) the {_COLOR} {_SHAPE} {_RELATION} the {_COLOR} {_SHAPE}"), _holds),
)


def answer_scene(scene: Scene, question: str, choices: Sequence[str]) -> str | None:
    """Answer a question of the forms that `questions` writes.

    Args:
        scene: what was seen.
        question: e.g. ``"How many red circles are there?"``.
        choices: the permitted answers.

    Returns:
        One of `choices`, or None: cannot tell, or the true answer is not among them.

    Raises:
        ValueError: the question has none of the known forms.
    """
    words = question.strip().rstrip("?").lower()
    for form, reply in _FORMS:
        if match := form.fullmatch(words):
            found = reply(scene, *match.groups())
            return found if found in choices else None
    raise ValueError(
        f"{question!r} is not a question about shapes. Ask whether there are red circles, how many red "
        "circles there are, what color the circle is, what shape the red object is, whether the red circle "
        "is left of the blue square, or what color the background is"
    )


def answer(image: Image, question: str, choices: Sequence[str]) -> str | None:
    """Answer a question about an image: `answer_scene` of what `perceive` sees.

    Args:
        image: ``uint8 [height, width, 3]``.
        question: e.g. ``"What color is the circle?"``.
        choices: the permitted answers.

    Returns:
        One of `choices`, or None: cannot tell.
    """
    return answer_scene(perceive(image), question, choices)
