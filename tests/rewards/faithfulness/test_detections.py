"""GenEval's rules for number, colour and position, on boxes made by hand."""

import json

import numpy as np
import pytest

from versat2i.prompts import files
from versat2i.rewards.faithfulness.detections import Found, Wanted, held, relations, singular, wanted

NAMES = ["person", "dog", "bench", "wine glass", "computer mouse", "knife", "bus", "teddy bear"]


def box(name, x, y, size=10.0, confidence=0.9):
    return Found(name, (x - size / 2, y - size / 2, x + size / 2, y + size / 2), confidence)


def asked(tmp_path, prompt, *things):
    """The questions that the reader of GenEval's metadata writes."""
    (tmp_path / "p.jsonl").write_text(json.dumps({"tag": "t", "include": list(things), "prompt": prompt}))
    (found,) = files.read(tmp_path / "p.jsonl")
    return found.questions


@pytest.mark.parametrize(
    "noun, name",
    [
        ("benchs", "bench"),
        ("benches", "bench"),
        ("knives", "knife"),
        ("people", "person"),
        ("computer mice", "computer mouse"),
        ("wine glasses", "wine glass"),
        ("Buses", "bus"),
        ("dog", "dog"),
        ("unicorn", None),
    ],
)
def test_a_noun_in_one_or_several_is_a_class(noun, name):
    assert singular(noun, NAMES) == name


def test_what_is_wanted_is_read_from_the_questions_of_the_reader(tmp_path):
    dogs = {"class": "dog", "count": 3}
    assert wanted(asked(tmp_path, "three dogs", dogs), NAMES) == [Wanted("dog", 3, True)]
    red = {"class": "bench", "count": 1, "color": "red"}
    assert wanted(asked(tmp_path, "a red bench", red), NAMES) == [Wanted("bench", color="red")]
    bear = {"class": "teddy bear", "count": 1}
    right = {"class": "dog", "count": 1, "position": ["right of", 0]}
    both = wanted(asked(tmp_path, "a dog right of a teddy bear", bear, right), NAMES)
    assert both == [Wanted("teddy bear"), Wanted("dog", places=(("right of", 0),))]
    assert wanted(asked(tmp_path, "a zebra", {"class": "zebra", "count": 1}), NAMES) == "the detector knows no 'zebra'"
    assert wanted([], NAMES) == "the prompt has no questions of GenEval"


@pytest.mark.parametrize(
    "at, expected",
    [((80, 50), {"right of"}), ((20, 50), {"left of"}), ((50, 20), {"above"}), ((50, 80), {"below"}),
     ((80, 80), {"right of", "below"}), ((51, 50), set()), ((80, 56), {"right of"})],
)  # fmt: skip
def test_a_direction_holds_where_half_of_the_distance_lies_in_it(at, expected):
    assert relations(box("dog", *at), box("bench", 50, 50)) == expected


def test_centres_that_are_apart_by_less_than_a_tenth_of_both_sizes_are_at_one_place():
    # 0.1 (10 + 10) = 2 pixels
    assert relations(box("dog", 52.0, 50), box("bench", 50, 50)) == set()
    # 6 pixels apart, 4 beyond: 4 / 6 is more than a half; 3.9 apart, 1.9 beyond: it is less
    assert relations(box("dog", 56.0, 50), box("bench", 50, 50)) == {"right of"}
    assert relations(box("dog", 53.9, 50), box("bench", 50, 50)) == set()


@pytest.mark.parametrize(
    "amount, exact, holds", [(1, True, False), (2, True, True), (3, True, False), (3, False, True)]
)
def test_a_number_is_exact_where_it_is_asked_for(amount, exact, holds):
    found = [box("dog", 10.0 * place, 5) for place in range(amount)] + [box("bench", 50, 50)]
    assert list(held([Wanted("dog", 2, exact)], found).values()) == [holds]


def test_the_most_confident_object_of_a_class_counts_for_colour_and_place():
    sure, unsure = box("dog", 80, 50, confidence=0.9), box("dog", 20, 50, confidence=0.4)
    want = [Wanted("bench"), Wanted("dog", color="red", places=(("right of", 0),))]
    found = [unsure, sure, box("bench", 50, 50)]
    verdicts = held(want, found, lambda thing: "red" if thing is sure else "blue")
    assert verdicts == {"0 bench: 1": True, "1 dog: 1": True, "1 dog: red": True, "1 dog: right of bench": True}
    assert not held(want, [unsure, box("bench", 50, 50)], lambda thing: "red")["1 dog: right of bench"]


def test_a_relation_to_what_is_not_there_does_not_hold():
    want = [Wanted("bench"), Wanted("dog", places=(("right of", 0),))]
    assert list(held(want, [box("dog", 80, 50)]).values()) == [False, True, False]


def test_ever_less_holds_as_objects_leave_the_image():
    want = [Wanted("bench"), Wanted("dog", 2, places=(("right of", 0),))]
    found = [box("dog", 80, 50), box("dog", 80, 70), box("bench", 50, 50)]
    shares = [np.mean(list(held(want, found[gone:]).values())) for gone in range(4)]
    assert shares == [1.0, 2 / 3, 1 / 3, 0.0]
