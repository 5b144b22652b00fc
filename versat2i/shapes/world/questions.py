"""Ask about a prompt of the embedded world: TIFA's questions, with DSG's dependencies between them.

Every row has the fields of the questions table: prompt_id, question_id, question, choices, answer,
element_type, parent_ids. To each yes-or-no question with the answer "yes" belongs one with the
answer "no", so an answerer that always says the same gets half of them right.
"""

import random
from dataclasses import dataclass, field

from versat2i.seeds import stable_seed
from versat2i.shapes.world.grammar import (
    BACKGROUNDS,
    COLORS,
    MAX_OBJECTS,
    RELATIONS,
    SHAPES,
    Description,
    Group,
    noun,
    plural,
    with_article,
)

CHOICES = 4  # of a question that is not answered by yes or no
YES_NO = ("yes", "no")
NUMBERS = tuple(str(number + 1) for number in range(MAX_OBJECTS))

Row = dict[str, str | list[str]]


@dataclass
class _Sheet:
    """The questions of one prompt, numbered as they come."""

    prompt_id: str
    rng: random.Random
    rows: list[Row] = field(default_factory=list)

    def ask(self, element_type: str, question: str, answer: str, choices: tuple[str, ...], *parents: str) -> str:
        """Add a question and return its id."""
        question_id = str(len(self.rows))
        self.rows.append(
            {
                "prompt_id": self.prompt_id,
                "question_id": question_id,
                "question": question,
                "choices": list(choices),
                "answer": answer,
                "element_type": element_type,
                "parent_ids": list(parents),
            }
        )
        return question_id

    def options(self, answer: str, words: tuple[str, ...]) -> tuple[str, ...]:
        """The answer among other `words`, in random order."""
        others = self.rng.sample([word for word in words if word != answer], CHOICES - 1)
        return tuple(self.rng.sample([answer, *others], CHOICES))


def _verb(group: Group) -> str:
    return "Is" if group.count == 1 else "Are"


def _shape(group: Group) -> str:
    return group.shape if group.count == 1 else plural(group.shape)


def _absent(group: Group, description: Description, rng: random.Random) -> Group:
    """A group of as many things that the description has not, which share this group's colour or its shape."""
    looks = {(other.color, other.shape) for other in description.groups}
    similar = [(color, group.shape) for color in COLORS] + [(group.color, shape) for shape in SHAPES]
    color, shape = rng.choice([look for look in similar if look not in looks])
    return Group(color, shape, group.count)


def _existence(group: Group) -> str:
    return f"Is there {with_article(noun(group))}?" if group.count == 1 else f"Are there {noun(group)}?"


def _ask_about_group(sheet: _Sheet, group: Group, description: Description) -> str:
    """Presence, number, colour and shape of a group; returns the id of the question of presence."""
    present = sheet.ask("object", _existence(group), "yes", YES_NO)
    sheet.ask("object", _existence(_absent(group, description, sheet.rng)), "no", YES_NO)
    number = f"How many {group.color} {plural(group.shape)} are there?"
    sheet.ask("counting", number, str(group.count), NUMBERS, present)
    others = [other for other in description.groups if other is not group]
    verb = _verb(group).lower()
    if all(other.shape != group.shape for other in others):
        question = f"What color {verb} the {_shape(group)}?"
        sheet.ask("color", question, group.color, sheet.options(group.color, COLORS), present)
    if all(other.color != group.color for other in others):
        question = f"What shape {verb} the {group.color} object{'s' if group.count > 1 else ''}?"
        sheet.ask("shape", question, group.shape, sheet.options(group.shape, SHAPES), present)
    return present


def _ask_about_relation(sheet: _Sheet, description: Description, first: str, second: str) -> None:
    """The relation of the prompt, and one that cannot hold beside it."""
    subject, reference = description.groups
    for answer in YES_NO:
        others = [relation for relation in RELATIONS if relation != description.relation]
        relation = description.relation if answer == "yes" else sheet.rng.choice(others)
        question = f"{_verb(subject)} the {noun(subject)} {relation} the {noun(reference)}?"
        sheet.ask("spatial", question, answer, YES_NO, first, second)


def questions(prompt_id: str, description: Description) -> list[Row]:
    """The questions of a prompt, a function of the arguments alone.

    Colour and shape are asked only where one group alone has that shape or colour.

    Args:
        prompt_id: seeds every random choice.
        description: what the prompt says.

    Returns:
        One row a question, with the keys that the module names.
    """
    sheet = _Sheet(prompt_id, random.Random(stable_seed("questions", prompt_id)))
    present = [_ask_about_group(sheet, group, description) for group in description.groups]
    if description.relation:
        _ask_about_relation(sheet, description, present[0], present[1])
    if description.background:
        choices = sheet.options(description.background, BACKGROUNDS)
        sheet.ask("background", "What color is the background?", description.background, choices)
    return sheet.rows
