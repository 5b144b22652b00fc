import random

import numpy as np
import pytest

from versat2i.shapes.world.answering import answer, answer_scene
from versat2i.shapes.world.drawing import PERFECT, RGB, Flaws, Placed, draw, paint
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES, Group, sample
from versat2i.shapes.world.perception import perceive
from versat2i.shapes.world.questions import questions

NUMBERS = ("1", "2", "3", "4")


def painted(*things, background="white", radius=10.0, flaws=PERFECT):
    """An image of things such as ``("red circle", 20, 32)``: look and centre."""
    placed = [Placed(Group(*look.split()), x, y, radius) for look, x, y in things]
    return paint(placed, background, random.Random(0), flaws)


def mean_fit(flaws):
    """Over one large drawing of each shape."""
    scenes = [perceive(painted((f"red {shape}", 32, 32), radius=13.0, flaws=flaws)) for shape in SHAPES]
    return float(np.mean([scene.objects[0].fit for scene in scenes]))


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


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_is_seen_where_and_as_large_as_it_is(shape):
    image = painted((f"red {shape}", 28.0, 35.0), background="navy", radius=11.0)
    (thing,) = perceive(image).objects
    assert (thing.shape, thing.color) == (shape, "red")
    assert (thing.x, thing.y) == pytest.approx((28, 35), abs=0.3)
    assert thing.mask.shape == (64, 64) and thing.mask.dtype == bool
    assert np.pi * thing.radius**2 == pytest.approx(thing.mask.sum(), rel=0.1)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_color_is_named_on_every_background(background):
    for fade in (0.0, 0.3):
        seen = [
            perceive(painted((f"{c} square", 32, 32), background=background, flaws=Flaws(fade=fade))) for c in COLORS
        ]
        assert [scene.objects[0].color for scene in seen] == list(COLORS)
        assert {scene.background for scene in seen} == {background}


def test_touching_objects_of_different_colors_are_two():
    image = painted(("orange square", 24, 32), ("red circle", 40.5, 32))
    assert {(thing.color, thing.shape) for thing in perceive(image).objects} == {
        ("orange", "square"),
        ("red", "circle"),
    }


def test_fit_falls_as_outlines_bend():
    fits = [mean_fit(Flaws(bend=bend)) for bend in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)]
    assert fits == sorted(fits, reverse=True)
    assert fits[0] > 0.98 and fits[2] < 0.96 and fits[-1] < 0.9


@pytest.mark.parametrize(
    "flaws", [Flaws(jitter=20), Flaws(fade=0.5), Flaws(noise=8), Flaws(blur=0.7), Flaws(rotation=12)]
)
def test_fit_minds_only_the_outline(flaws):
    assert mean_fit(flaws) == pytest.approx(mean_fit(PERFECT), abs=0.01)


def test_a_shape_that_is_none_of_the_known_has_no_name():
    image = painted()
    image[24:28, 12:52] = RGB["red"]
    image[24:50, 12:17] = RGB["red"]
    (thing,) = perceive(image).objects
    assert (thing.shape, thing.color) == (None, "red")


def test_a_color_that_is_none_of_the_palette_has_no_name():
    image = painted(("red circle", 32, 32))
    image[(image != image[0, 0]).any(axis=2)] = (110, 80, 10)
    assert perceive(image).objects[0].color is None


def test_specks_are_no_objects():
    image = painted(("red circle", 20, 20))
    image[50:53, 50:53] = RGB["blue"]
    assert len(perceive(image).objects) == 1


def test_a_drifting_background_is_no_object():
    image = painted(("red circle", 20, 20), background="gray")
    drift = np.linspace(-14, 14, 64)[None, :, None]
    assert len(perceive((image + drift).astype(np.uint8)).objects) == 1


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


def test_other_sizes_are_read_as_well():
    image = painted(("red circle", 20, 32), ("blue star", 46, 32)).repeat(4, axis=0).repeat(4, axis=1)
    assert [(thing.color, thing.shape) for thing in sorted(perceive(image).objects, key=lambda thing: thing.x)] == [
        ("red", "circle"),
        ("blue", "star"),
    ]


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_what_is_no_image_is_an_error_that_says_what_was_expected(image):
    with pytest.raises(ValueError, match="expected an image uint8"):
        perceive(image)
