import random

import numpy as np
import pytest

from bench.causes import AS_SAID, CAUSES, OTHER, cause, causes, flows, shares
from versat2i.shapes.pretraining import mistakes
from versat2i.shapes.world import drawing, grammar
from versat2i.shapes.world.flaws import PERFECT
from versat2i.shapes.world.perception import Object, Scene

MASK = np.zeros((64, 64), bool)


def scene(background, *kinds):
    return Scene(background, tuple(Object(shape, color, 0, 0, 1, MASK, 1.0) for color, shape in kinds))


RED, BLUE = ("red", "circle"), ("blue", "square")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (scene("navy", RED, RED, BLUE), AS_SAID),
        (scene("white", RED, RED, BLUE), "background"),
        (scene("teal", RED, RED, BLUE), OTHER),  # no caption taught this
        (scene("navy", RED, RED), "missing"),
        (scene("navy", BLUE), "missing"),
        (scene("navy"), OTHER),
        (scene("navy", RED, BLUE), OTHER),  # one of two alike is no kind left out
        (scene("navy", RED, RED, BLUE, BLUE), "too many"),
        (scene("navy", ("blue", "circle"), ("blue", "circle"), ("red", "square")), "swap"),
        (scene("navy", RED, RED, ("blue", None)), OTHER),
    ],
)
def test_each_mistake_of_captions_is_told_from_inability(seen, expected):
    said = grammar.parse("two red circles and a blue square on a navy background")
    assert cause(said, seen) == expected


def test_one_of_several_alike_may_be_missing_and_white_turns_black():
    said = grammar.parse("two red circles on a white background")
    assert cause(said, scene("white", RED)) == "missing"
    assert cause(said, scene("black", RED, RED)) == "background"


def test_drawn_scenes_are_as_said_or_have_the_mistake_that_was_made():
    """Read from perfect drawings: nearly every scene has a cause, and those that show what is said are as said."""
    rng = random.Random(0)
    right = {True: [], False: []}
    for _ in range(60):
        said = grammar.sample(rng)
        shown = mistakes.shown(said, rng, 0.5)
        (found,) = causes(drawing.draw(shown, rng, PERFECT)[None], [grammar.phrase(said, rng)])
        right[shown == said].append(found == AS_SAID if shown == said else found not in (AS_SAID, OTHER))
    assert min(np.mean(each) for each in right.values()) > 0.85


def test_net_flows_add_up_to_the_gain_in_images_as_said():
    base = ["missing", "missing", "as said", "other", "background"]
    variant = ["as said", "missing", "too many", "as said", "background"]
    net = flows(base, variant)
    assert net.to_dict() == pytest.approx({"background": 0, "missing": 0.2, "too many": -0.2, "swap": 0, "other": 0.2})
    table = shares({"base": base, "variant": variant})
    assert list(table.columns) == list(CAUSES)
    assert net.sum() == pytest.approx(table.loc["variant", "as said"] - table.loc["base", "as said"])
