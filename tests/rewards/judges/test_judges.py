"""Judges read a scene in a way of their own, and say so where they cannot judge."""

import random

import numpy as np
import pandas as pd
import pytest

from versat2i import rewards
from versat2i.rewards.judges import piqe
from versat2i.rewards.judges.reading import SPREAD, descriptor, name_shape, read
from versat2i.shapes.world import drawing, grammar
from versat2i.shapes.world.drawing import Flaws, Placed
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES, Group
from versat2i.work import fingerprint

PROMPT = "two red circles left of a blue star on a white background"
THINGS = [("red circle", 16, 16), ("red circle", 16, 48), ("blue star", 48, 32)]


@pytest.fixture(scope="module")
def reader():
    return rewards.load("judges", "second_reader")


def painted(*things, background="white", radius=9.0, flaws=drawing.PERFECT):
    """An image of things such as ``("red circle", 20, 32)``: look and centre."""
    placed = [Placed(Group(*look.split()), x, y, radius) for look, x, y in things]
    return drawing.paint(placed, background, random.Random(0), flaws)


def claims(reader, text, image):
    """Every claim of a prompt and whether it holds."""
    scores = reader.score(image[None], pd.DataFrame({"prompt_id": ["p"], "text": [text]}), None)
    held = scores.details[0]["claims"]
    assert scores.values[0] == pytest.approx(np.mean(list(held.values())))
    return held


# ------------------------------------------------------------------------------- the second reader


@pytest.mark.parametrize(
    "flaws, least",
    [
        (Flaws(), 0.99),
        (Flaws(noise=8.0), 0.98),
        (Flaws(blur=0.7), 0.98),
        (Flaws(fade=0.5), 0.98),
        (Flaws(rotation=14.0), 0.98),
        (Flaws(jitter=22.0), 0.95),
        (Flaws(bend=0.1), 0.93),
    ],
    ids=["clean", "noise", "blur", "fade", "rotation", "jitter", "bend"],
)
def test_drawings_keep_what_their_prompts_claim(reader, flaws, least):
    rows, images = [], []
    for index in range(40):
        rng = random.Random(index)
        description = grammar.sample(rng, held_out=index % 2 == 0)
        rows.append({"prompt_id": str(index), "text": grammar.phrase(description, rng)})
        images.append(drawing.draw(description, rng, flaws))
    assert reader.score(np.stack(images), pd.DataFrame(rows), None).values.mean() > least


def test_a_prompt_is_taken_apart_into_its_claims(reader):
    assert claims(reader, PROMPT, painted(*THINGS)) == {
        "red circles: there": True,
        "red circles: 2": True,
        "blue star: there": True,
        "blue star: 1": True,
        "left of": True,
        "white background": True,
    }


@pytest.mark.parametrize(
    "things, background, broken",
    [
        (THINGS[1:], "white", {"red circles: 2"}),
        ([*THINGS, ("red circle", 32, 10)], "white", {"red circles: 2"}),
        ([*THINGS[:2], ("green star", 48, 32)], "white", {"blue star: there", "blue star: 1", "left of"}),
        ([*THINGS[:2], ("blue heart", 48, 32)], "white", {"blue star: there", "blue star: 1", "left of"}),
        ([("red circle", 48, 16), ("red circle", 48, 48), ("blue star", 16, 32)], "white", {"left of"}),
        (THINGS, "black", {"white background"}),
    ],
    ids=["one too few", "one too many", "color", "shape", "relation", "background"],
)
def test_what_is_wrong_breaks_its_claims_and_no_others(reader, things, background, broken):
    held = claims(reader, PROMPT, painted(*things, background=background))
    assert {claim for claim, holds in held.items() if not holds} == broken


@pytest.mark.parametrize("relation, place", [("left of", (12, 32)), ("above", (32, 12)), ("below", (32, 52))])
def test_the_larger_offset_decides_the_relation(reader, relation, place):
    image = painted(("red circle", *place), ("blue square", 34, 34))
    for asked in grammar.RELATIONS:
        text = f"a red circle {asked} a blue square"
        assert claims(reader, text, image)[asked] == (asked == relation)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_color_is_named_on_every_background(background):
    for color in COLORS:
        for fade in (0.0, 0.3):
            seen = read(painted((f"{color} square", 32, 32), background=background, flaws=Flaws(fade=fade)))
            assert (seen.background, [thing.color for thing in seen.things]) == (background, [color])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_named_small_and_large_and_stands_where_it_is(shape):
    for radius in (6.5, 9.0, 14.0):
        (thing,) = read(painted((f"red {shape}", 28.0, 35.0), radius=radius)).things
        assert thing.shape == shape
        assert (thing.x, thing.y) == pytest.approx((28, 35), abs=0.3 + 0.2 * radius)  # centres of area


def test_a_shape_that_is_none_of_the_known_has_no_name():
    member = np.zeros((64, 64))
    member[24:28, 12:52] = member[24:50, 12:17] = 1.0
    assert name_shape(member) is None


def test_moments_of_a_square_know_neither_its_place_nor_its_size():
    """By hand: ``c_20 = pi / 6`` and ``c_44 = -pi^2 / 60``; two fold, three fold and five fold there is none."""
    for size, corner in [(30, 3), (40, 20)]:
        member = np.zeros((64, 64))
        member[corner : corner + size, corner : corner + size] = 1.0
        moments = dict(zip(SPREAD, descriptor(member), strict=True))
        assert moments[2, 0] == pytest.approx(np.pi / 6, rel=0.01)
        assert moments[4, 4] == pytest.approx(-(np.pi**2) / 60, rel=0.01)
        assert [moments[order] for order in [(2, 2), (3, 3), (5, 5)]] == pytest.approx([0, 0, 0], abs=1e-9)


def test_the_prompt_is_read_not_the_questions(reader, draw, prompts, questions):
    with_questions, without = (reader.score(draw(), prompts, asked).values for asked in (questions, None))
    np.testing.assert_array_equal(with_questions, without)


def test_a_prompt_of_another_world_is_not_judged(reader):
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": ["a photo of a dog"]})
    found = reader.score(painted(*THINGS)[None], prompts, None)
    assert np.isnan(found.values[0])
    assert found.reasons == [
        "the prompt is not of the shapes grammar: 'photo' is not a word of the shapes grammar (in 'a photo of a dog')"
    ]


def test_a_blank_image_is_not_judged(reader):
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": [PROMPT]})
    assert reader.score(np.zeros((1, 64, 64, 3), np.uint8), prompts, None).reasons == ["the image is blank"]


def test_it_shares_no_code_with_what_selects():
    files = {path.name for path in fingerprint.closure("versat2i.rewards.judges.second_reader")}
    assert "reading.py" in files
    assert not files & {"perception.py", "fitting.py", "answering.py", "tifa.py", "regularity.py"}


# ---------------------------------------------------------------------------------------------- PIQE


def textured(noise):
    """256x256 pixels of smooth texture with noise on it."""
    rng = np.random.default_rng(0)
    rough = rng.uniform(40, 215, (64, 64, 1)).repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(rough + rng.normal(0, noise, (256, 256, 3)), 0, 255).astype(np.uint8)


def test_piqe_abstains_from_drawings_and_judges_texture(draw, prompts):
    judge = rewards.load("judges", "piqe")
    assert not judge.higher_is_better
    few = f"fewer than {piqe.MIN_ACTIVE} blocks of 16x16 pixels have texture"
    assert set(judge.score(draw(), prompts, None).reasons) == {few}
    (value,) = judge.score(textured(2.0)[None], prompts[:1], None).values
    assert 0.0 <= value <= 100.0
