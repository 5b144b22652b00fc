"""Does an image show what its prompt claims? Asked of the prompt itself, without questions."""

import numpy as np

from versat2i.rewards.common.base import OWN_LICENCE, Explained, Image, Images, Prompt, Verdicts
from versat2i.rewards.judges.reading import Reading, Thing, read
from versat2i.shapes.world.grammar import Description, Group, noun, parse

TOWARDS = {"left of": (-1.0, 0.0), "right of": (1.0, 0.0), "above": (0.0, -1.0), "below": (0.0, 1.0)}  # y down


def _members(reading: Reading, group: Group) -> list[Thing]:
    return [thing for thing in reading.things if (thing.color, thing.shape) == (group.color, group.shape)]


def _stands(relation: str, first: list[Thing], second: list[Thing]) -> bool:
    """Whether the first lie more in the direction of the relation than across it, from centre to centre."""
    if not first or not second:
        return False
    ends = [np.mean([(thing.x, thing.y) for thing in things], axis=0) for things in (first, second)]
    (x, y), (dx, dy) = ends[0] - ends[1], TOWARDS[relation]
    return bool(x * dx + y * dy > abs(x * dy - y * dx))


def claims(description: Description, reading: Reading) -> dict[str, bool]:
    """What a prompt claims, and whether it holds: presence and number of each group, relation, background.

    Size is not judged: small and large overlap once four things must fit.
    """
    groups = description.groups
    found = [_members(reading, group) for group in groups]
    held = {}
    for group, members in zip(groups, found, strict=True):
        held[f"{noun(group)}: there"] = bool(members)
        held[f"{noun(group)}: {group.count}"] = len(members) == group.count
    if description.relation:
        held[description.relation] = _stands(description.relation, found[0], found[1])
    if description.background:
        held[f"{description.background} background"] = reading.background == description.background
    return held


class SecondReader:
    """Share of a prompt's claims that hold in an embedded scene, read independently of the `shapes` VQA."""

    name = "second_reader"
    metric = "second_reader"
    higher_is_better = True
    range = (0.0, 1.0)
    licence = OWN_LICENCE

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [self._judge(image, prompt.text) for image, prompt in zip(images, prompts, strict=True)]

    def _judge(self, image: Image, text: str) -> float | str:
        """The share of claims that hold, or the reason to abstain."""
        try:
            held = claims(parse(text), read(image))
        except ValueError as error:
            return f"the prompt is not of the shapes grammar: {error}"
        return Explained(float(np.mean(list(held.values()))), {"claims": held})
