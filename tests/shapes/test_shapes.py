"""The embedded world reads back what was painted."""

import pytest
from placed import painted

from versat2i import shapes


def test_what_was_painted_is_perceived():
    scene = shapes.perceive(painted(("red circle", 20, 32), ("blue star", 46, 32), background="gray"))
    assert {(thing.color, thing.shape, round(thing.x)) for thing in scene.objects} == {
        ("red", "circle", 20),
        ("blue", "star", 46),
    }
    assert scene.background == "gray"


@pytest.mark.parametrize(
    "question, answer",
    [
        ("How many red circles are there?", "2"),
        ("What shape is the blue object?", "star"),
        ("Are there green circles?", "no"),
        ("What color are the crosses?", None),
    ],
)
def test_a_question_is_answered_by_one_of_its_choices_or_not_at_all(question, answer):
    image = painted(("red circle", 16, 16), ("red circle", 16, 48), ("blue star", 48, 32), radius=9.0)
    choices = ("1", "2", "3", "star", "cross", "yes", "no", "red")
    assert shapes.answer(image, question, choices) == answer
