import random
from collections import Counter

import pytest

from versat2i.shapes.pretraining.mistakes import WRONG, shown
from versat2i.shapes.world.drawing import place
from versat2i.shapes.world.grammar import Description, Group, sample

RED = Group("red", "circle")
BLUE = Group("blue", "star")


def total(description):
    return sum(group.count for group in description.groups)


def what_differs(said, seen):
    """Names of what a scene shows otherwise than said."""
    colors = Counter(group.color for group in said.groups) == Counter(group.color for group in seen.groups)
    return {
        name
        for name, differs in {
            "background": said.background != seen.background,
            "number": total(said) != total(seen),
            "swap": colors and total(said) == total(seen) and said.groups != seen.groups,
        }.items()
        if differs
    }


def scenes(amount=2000):
    rng = random.Random(0)
    for _ in range(amount):
        said = sample(rng)
        yield said, shown(said, rng)


def test_captions_are_wrong_as_often_as_stated_and_about_one_thing():
    differences = [what_differs(said, seen) for said, seen in scenes()]
    assert sum(map(bool, differences)) / len(differences) == pytest.approx(WRONG, abs=0.04)
    assert max(map(len, differences)) == 1
    assert {name for each in differences for name in each} == {"background", "number", "swap"}


def test_no_mistake_shows_a_held_out_combination_or_what_has_no_room():
    rng = random.Random(1)
    for _, seen in scenes(1000):
        assert not seen.held_out
        assert len(place(seen, rng, lattice=8)) == total(seen) >= 1


def test_a_share_of_0_never_errs_and_of_1_always():
    rng = random.Random(2)
    said = Description((RED, BLUE), background="white")
    assert all(shown(said, rng, wrong=0.0) == said for _ in range(50))
    assert all(shown(said, rng, wrong=1.0) != said for _ in range(50))


def test_a_single_object_is_never_left_out():
    rng = random.Random(3)
    seen = {shown(Description((RED,)), rng, wrong=1.0).groups[0].count for _ in range(20)}
    assert seen == {2}


def test_a_wrong_background_is_white_or_where_that_is_named_black():
    rng = random.Random(5)
    for named, other in (("teal", "white"), ("white", "black")):
        seen = {shown(Description((RED,), background=named), rng, wrong=1.0).background for _ in range(50)}
        assert seen == {named, other}


def test_without_the_other_object_no_relation_is_left():
    rng = random.Random(4)
    said = Description((RED, BLUE), relation="above")
    seen = [shown(said, rng, wrong=1.0) for _ in range(100)]
    assert all((each.relation is None) == (len(each.groups) == 1) for each in seen)
