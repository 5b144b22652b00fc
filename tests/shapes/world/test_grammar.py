import random

import pytest

from versat2i.shapes.world.grammar import (
    COLORS,
    HELD_OUT,
    SHAPES,
    Description,
    Group,
    parse,
    phrase,
    sample,
    unknown_words,
)


def test_parse_is_the_inverse_of_phrase():
    rng = random.Random(0)
    for index in range(600):
        description = sample(rng, held_out=index % 2 == 0)
        assert parse(phrase(description, rng)) == description


def test_every_phrase_has_only_known_words():
    rng = random.Random(1)
    assert not any(unknown_words(phrase(sample(rng), rng)) for _ in range(300))


def test_every_category_is_drawn():
    rng = random.Random(2)
    assert {sample(rng).category for _ in range(300)} == {"single", "counting", "pair", "relation", "triple"}


def test_no_held_out_combination_is_drawn_unless_asked_for():
    rng = random.Random(3)
    assert not any(sample(rng).held_out for _ in range(1000))


def test_a_held_out_combination_is_drawn_when_asked_for():
    rng = random.Random(4)
    assert all(sample(rng, held_out=True).held_out for _ in range(300))


def test_every_color_and_every_shape_is_seen_and_held_out():
    seen = {(color, shape) for color in COLORS for shape in SHAPES} - HELD_OUT
    for looks in (seen, HELD_OUT):
        assert {color for color, _ in looks} == set(COLORS)
        assert {shape for _, shape in looks} == set(SHAPES)


def test_groups_of_a_description_differ_in_color_and_in_shape():
    rng = random.Random(5)
    for _ in range(300):
        groups = sample(rng).groups
        assert len({group.color for group in groups}) == len({group.shape for group in groups}) == len(groups)


def test_the_same_seed_says_the_same():
    first, second = random.Random(6), random.Random(6)
    assert phrase(sample(first), first) == phrase(sample(second), second)


def test_a_sentence_is_read_as_it_is_meant():
    assert parse("two small red circles to the left of a blue cross on a navy background") == Description(
        (Group("red", "circle", 2, "small"), Group("blue", "cross")), "left of", "navy"
    )


def test_case_and_full_stop_do_not_matter():
    assert parse("A red circle.") == parse("a red circle")


@pytest.mark.parametrize("text, named", [("a red dog", "dog"), ("seven red circles", "seven"), ("a red", "a red")])
def test_what_the_grammar_lacks_is_named(text, named):
    with pytest.raises(ValueError, match=named):
        parse(text)
