import random
from collections import Counter

import pytest

from versat2i.shapes.world.grammar import Description, Group, sample
from versat2i.shapes.world.questions import questions

KEYS = {"prompt_id", "question_id", "question", "choices", "answer", "element_type", "parent_ids"}
PROMPT = Description((Group("red", "circle", 2), Group("blue", "square")), "left of", "navy")


@pytest.fixture(scope="module")
def sheets():
    rng = random.Random(0)
    descriptions = [sample(rng, held_out=index % 2 == 0) for index in range(200)]
    return [(description, questions(f"p{index}", description)) for index, description in enumerate(descriptions)]


def asked(rows, element_type):
    return [row for row in rows if row["element_type"] == element_type]


def test_a_row_has_the_fields_of_the_questions_table(sheets):
    for _, rows in sheets:
        assert all(set(row) == KEYS for row in rows)
        assert [row["question_id"] for row in rows] == [str(index) for index in range(len(rows))]


def test_the_answer_is_one_of_different_choices(sheets):
    for _, rows in sheets:
        for row in rows:
            assert row["answer"] in row["choices"]
            assert len(set(row["choices"])) == len(row["choices"]) == (2 if row["answer"] in ("yes", "no") else 4)


def test_yes_is_as_often_right_as_no(sheets):
    for element_type in ("object", "spatial"):
        answers = Counter(row["answer"] for _, rows in sheets for row in asked(rows, element_type))
        assert answers["yes"] == answers["no"] > 0


def test_no_place_among_the_choices_is_preferred(sheets):
    places = Counter(
        row["choices"].index(row["answer"])
        for _, rows in sheets
        for element_type in ("color", "shape", "background")
        for row in asked(rows, element_type)
    )
    assert all(place == pytest.approx(places.total() / 4, rel=0.2) for place in places.values())


def test_questions_depend_on_the_presence_of_what_they_are_about(sheets):
    for description, rows in sheets:
        present = [row["question_id"] for row in asked(rows, "object") if row["answer"] == "yes"]
        assert len(present) == len(description.groups)
        for element_type in ("counting", "color", "shape"):
            assert [row["parent_ids"] for row in asked(rows, element_type)] == [[one] for one in present]
        assert all(row["parent_ids"] == present for row in asked(rows, "spatial"))
        assert not any(row["parent_ids"] for kind in ("object", "background") for row in asked(rows, kind))


def test_what_the_prompt_leaves_open_is_not_asked(sheets):
    for description, rows in sheets:
        assert len(asked(rows, "background")) == (description.background is not None)
        assert len(asked(rows, "spatial")) == (2 if description.relation else 0)


def test_absent_things_are_asked_for_that_are_in_no_group(sheets):
    for description, rows in sheets:
        for row in asked(rows, "object"):
            named = any(f"{group.color} {group.shape}" in row["question"] for group in description.groups)
            assert named == (row["answer"] == "yes")


def test_a_shared_shape_leaves_its_color_unasked():
    rows = questions("p", Description((Group("red", "circle"), Group("blue", "circle"))))
    assert not asked(rows, "color")
    assert len(asked(rows, "shape")) == 2


def test_a_shared_color_leaves_its_shape_unasked():
    rows = questions("p", Description((Group("red", "circle"), Group("red", "star"))))
    assert not asked(rows, "shape")
    assert len(asked(rows, "color")) == 2


def test_questions_are_in_the_singular_and_plural_that_fit():
    words = {row["question"] for row in questions("p", PROMPT)}
    assert {
        "Are there red circles?",
        "Is there a blue square?",
        "How many red circles are there?",
        "How many blue squares are there?",
        "What color are the circles?",
        "What color is the square?",
        "What shape are the red objects?",
        "What shape is the blue object?",
        "Are the red circles left of the blue square?",
        "What color is the background?",
    } <= words


def test_the_prompt_id_alone_decides_the_distractors():
    assert questions("p", PROMPT) == questions("p", PROMPT)
    first, second = ([row["choices"] for row in questions(prompt_id, PROMPT)] for prompt_id in ("p", "q"))
    assert first != second
