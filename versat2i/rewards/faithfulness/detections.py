"""What GenEval (Ghosh et al. 2023) asks of the objects that a detector finds: number, colour, position."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
APART = 0.1  # share of both boxes' sizes by which their centres may be apart and yet at one place
SIDEWAYS = 0.5  # least share of the distance that lies in a direction
TOWARDS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}  # y down
IRREGULAR = {"people": "person", "mice": "mouse", "knives": "knife", "sheep": "sheep", "skis": "skis"}
_PRESENCE = re.compile(r"(?:Is there an? |Are there )(.+)\?")
_PLACE = re.compile(rf"(?:Is|Are) the .+ ({'|'.join(TOWARDS)}) the .+\?")


@dataclass(frozen=True)
class Found:
    """An object that a detector found.

    Attributes:
        name: of its class.
        box: left, top, right, bottom, pixels.
        confidence: of the detector, 0 to 1.
    """

    name: str
    box: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True)
class Wanted:
    """Objects that must be seen.

    Attributes:
        name: of their class.
        count: how many.
        exact: whether no more of them may be there.
        color: of each, None: any.
        places: relations to other wanted objects, by their position in the list.
    """

    name: str
    count: int = 1
    exact: bool = False
    color: str | None = None
    places: tuple[tuple[str, int], ...] = ()


def singular(noun: str, names: Sequence[str]) -> str | None:
    """The class of a noun in one or several, None: it is none of them."""
    known = {name.lower(): name for name in names}
    noun = noun.lower()
    first, blank, last = noun.rpartition(" ")
    endings = [(ending, one) for ending, one in (("s", ""), ("es", ""), ("ies", "y")) if noun.endswith(ending)]
    forms = [noun, first + blank + IRREGULAR.get(last, last), *(noun[: -len(old)] + one for old, one in endings)]
    return next((known[form] for form in forms if form in known), None)


def wanted(questions: list[dict[str, Any]], names: Sequence[str]) -> list[Wanted] | str:
    """What GenEval's prompts ask for, from the questions that its reader wrote, or why that cannot be judged.

    Args:
        questions: of a prompt: an object's presence, and by its id as parent its number, colour and places.
        names: classes that the detector knows.
    """
    listed: list[Wanted] = []
    order: dict[str, int] = {}
    for asked in questions:
        if asked["element_type"] == "object" and (match := _PRESENCE.fullmatch(asked["question"])):
            name = singular(match[1], names)
            if name is None:
                return f"the detector knows no {match[1]!r}"
            order[asked["question_id"]] = len(listed)
            listed.append(Wanted(name))
    for asked in questions:
        parents = [order[parent] for parent in asked["parent_ids"] if parent in order]
        if asked["element_type"] == "object" or not parents:
            continue
        place, old = parents[0], listed[parents[0]]
        relation = _PLACE.fullmatch(asked["question"])
        if asked["element_type"] == "counting":
            listed[place] = Wanted(old.name, int(asked["answer"]), True, old.color, old.places)
        elif asked["element_type"] == "color":
            listed[place] = Wanted(old.name, old.count, old.exact, asked["answer"], old.places)
        elif relation and len(parents) == 2:
            listed[place] = Wanted(old.name, old.count, old.exact, old.color, (*old.places, (relation[1], parents[1])))
    return listed or "the prompt has no questions of GenEval"


def relations(first: Found, second: Found) -> set[str]:
    """Where one object is seen from another: the directions that hold half of the distance of their centres or more.

    The distance in each axis counts as far as it exceeds a tenth of both boxes' sizes together, so that objects that
    nearly cover each other are in no relation.
    """
    boxes = np.array([first.box, second.box], float)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    offset = centres[0] - centres[1]
    beyond = np.sign(offset) * np.maximum(np.abs(offset) - APART * sizes.sum(0), 0.0)
    if (np.abs(beyond) < 1e-3).all():
        return set()
    share = beyond / np.linalg.norm(offset)
    return {name for name, way in TOWARDS.items() if share @ np.array(way) > SIDEWAYS}


def held(asked: list[Wanted], found: list[Found], color_of: Callable[[Found], str] | None = None) -> dict[str, bool]:
    """Whether each thing that is asked for holds, as GenEval judges it.

    The most confident objects of a class are taken, as many as are asked for. A colour holds if all of them have it,
    a relation if all of them stand so to all of the others.

    Args:
        asked: from `wanted`.
        found: by the detector.
        color_of: tells an object's colour.
    """
    best = sorted(found, key=lambda thing: -thing.confidence)
    seen = [[thing for thing in best if thing.name == want.name] for want in asked]
    verdicts: dict[str, bool] = {}
    for place, (want, things) in enumerate(zip(asked, seen, strict=True)):
        taken = things[: want.count]
        enough = len(taken) == want.count
        verdicts[f"{place} {want.name}: {want.count}"] = enough and not (want.exact and len(things) > want.count)
        if want.color is not None and color_of is not None:
            verdicts[f"{place} {want.name}: {want.color}"] = enough and all(color_of(t) == want.color for t in taken)
        for relation, other in want.places:
            others = seen[other][: asked[other].count]
            stands = bool(taken and others) and all(relation in relations(one, two) for one in taken for two in others)
            verdicts[f"{place} {want.name}: {relation} {asked[other].name}"] = stands
    return verdicts
