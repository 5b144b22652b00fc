"""Questions are answered from what is seen, and left alone where that does not tell."""

import random

import numpy as np
import pytest
from placed import painted

from versat2i.shapes.world.answering import answer, answer_scene
from versat2i.shapes.world.drawing import PERFECT, RGB, Flaws, draw
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES, sample
from versat2i.shapes.world.perception import perceive
from versat2i.shapes.world.questions import questions

NUMBERS = ("1", "2", "3", "4")


@pytest.mark.parametrize(
    "flaws, least",
    [
        (PERFECT, 0.99),
        (Flaws(noise=8), 0.97),
        (Flaws(blur=0.7), 0.97),
        (Flaws(jitter=20, rotation=12), 0.95),
    ],
    ids=["clean", "noise", "blur", "jitter and rotation"],
)
def test_questions_about_fresh_drawings_are_answered_right(flaws, least):
    right = []
    for index in range(120):
        rng = random.Random(index)
        description = sample(rng, held_out=index % 2 == 0)
        scene = perceive(draw(description, rng, flaws))
        rows = questions(str(index), description)
        right += [answer_scene(scene, row["question"], row["choices"]) == row["answer"] for row in rows]
    assert np.mean(right) >= least


@pytest.mark.parametrize(
    "question, choices",
    [
        ("What color is the circle?", COLORS),
        ("What shape is the red object?", SHAPES),
        ("How many red circles are there?", NUMBERS),
        ("Is the red circle left of the blue square?", ("yes", "no")),
    ],
)
def test_a_blank_image_answers_nothing_about_things(question, choices):
    assert answer(painted(), question, choices) is None


def test_a_blank_image_has_a_background_and_no_circle():
    assert answer(painted(), "What color is the background?", BACKGROUNDS) == "white"
    assert answer(painted(), "Is there a red circle?", ("yes", "no")) == "no"


def test_a_wrong_count_is_noticed():
    image = painted(("red circle", 16, 16), ("red circle", 44, 16), ("red circle", 30, 46))
    assert answer(image, "How many red circles are there?", NUMBERS) == "3"


def test_a_true_answer_that_is_no_choice_is_not_replaced():
    image = painted(("red circle", 32, 32))
    assert answer(image, "What color is the circle?", ("blue", "green")) is None


def test_what_may_be_the_thing_asked_for_is_neither_counted_nor_denied():
    image = painted(("blue star", 46, 50), radius=9.0)
    image[10:14, 12:52] = RGB["red"]
    image[10:36, 12:17] = RGB["red"]
    assert answer(image, "Is there a red circle?", ("yes", "no")) is None
    assert answer(image, "How many red circles are there?", NUMBERS) is None
    assert answer(image, "Is there a green circle?", ("yes", "no")) == "no"


def test_things_of_one_shape_in_two_colors_have_no_one_color():
    image = painted(("red circle", 16, 32), ("blue circle", 46, 32))
    assert answer(image, "What color are the circles?", COLORS) is None


@pytest.mark.parametrize("relation, expected", [("left of", "yes"), ("right of", "no"), ("above", "no")])
def test_relations_are_judged_between_mean_centres(relation, expected):
    image = painted(("red circle", 14, 14), ("red circle", 14, 50), ("blue square", 50, 32), radius=8.0)
    assert answer(image, f"Are the red circles {relation} the blue square?", ("yes", "no")) == expected


def test_a_question_of_another_form_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="Who is the king"):
        answer(painted(), "Who is the king?", ("yes", "no"))
