"""The second reader holds a scene against the claims of its prompt, and says so where it cannot judge."""

import random
from functools import partial

import numpy as np
import pandas as pd
import placed
import pytest
from scored import scored

from versat2i import rewards
from versat2i.shapes.world import drawing, grammar
from versat2i.shapes.world.drawing import Flaws
from versat2i.work import fingerprint

PROMPT = "two red circles left of a blue star on a white background"
THINGS = [("red circle", 16, 16), ("red circle", 16, 48), ("blue star", 48, 32)]


@pytest.fixture(scope="module")
def reader():
    return rewards.load("judges", "second_reader")


painted = partial(placed.painted, radius=9.0)


def claims(reader, text, image):
    """Every claim of a prompt and whether it holds."""
    scores = scored(reader, image[None], pd.DataFrame({"prompt_id": ["p"], "text": [text]}))
    held = scores.details[0]["claims"]
    assert scores.values[0] == pytest.approx(np.mean(list(held.values())))
    return held


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
    assert scored(reader, np.stack(images), pd.DataFrame(rows)).values.mean() > least


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


def test_the_prompt_is_read_not_the_questions(reader, draw, prompts, questions):
    with_questions, without = (scored(reader, draw(), prompts, asked).values for asked in (questions, None))
    np.testing.assert_array_equal(with_questions, without)


def test_a_prompt_of_another_world_is_not_judged(reader):
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": ["a photo of a dog"]})
    found = scored(reader, painted(*THINGS)[None], prompts)
    assert np.isnan(found.values[0])
    assert found.reasons == [
        "the prompt is not of the shapes grammar: 'photo' is not a word of the shapes grammar (in 'a photo of a dog')"
    ]


def test_a_blank_image_is_not_judged(reader):
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": [PROMPT]})
    assert scored(reader, np.zeros((1, 64, 64, 3), np.uint8), prompts).reasons == ["the image is blank"]


def test_it_shares_no_code_with_what_selects():
    files = {path.name for path in fingerprint.closure("versat2i.rewards.judges.second_reader")}
    assert "reading.py" in files
    assert not files & {"perception.py", "fitting.py", "answering.py", "tifa.py", "regularity.py"}
