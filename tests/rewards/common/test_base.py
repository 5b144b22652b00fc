"""A score is a finite number, or NaN with a reason; anything else is an error that names the image."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from versat2i import rewards
from versat2i.rewards.common.base import BLANK, Scores, check, judged, score_batches, score_each

FAMILIES = [(aspect, name) for aspect, name in rewards.catalogue() if name.endswith(":")]
PRETRAINED = [  # tested with models of their own
    ("aesthetic", "laion"),
    ("faithfulness", "clipscore"),
    ("faithfulness", "vqascore"),
    ("geometry", "projective"),
    ("judges", "hpsv2"),
    ("judges", "image_reward"),
    ("judges", "pickscore"),
    ("low_level", "q_instruct"),
]
EMBEDDED = [pair for pair in rewards.catalogue() if pair not in FAMILIES + PRETRAINED]

PROMPTS = pd.DataFrame({"prompt_id": ["p7"], "k": [3], "text": ["a red circle"]})


def scores(value, reason):
    return Scores(np.array([value]), [reason], [None])


@pytest.mark.parametrize("value, reason", [(0.5, None), (np.nan, "too dark")])
def test_a_number_or_a_reason_passes(value, reason):
    good = scores(value, reason)
    assert check(rewards.load("control", "random"), good, PROMPTS) is good


@pytest.mark.parametrize("value, reason", [(np.nan, None), (np.inf, None), (np.inf, "too bright"), (0.5, "too dark")])
def test_anything_else_is_an_error_that_names_the_image(value, reason):
    with pytest.raises(ValueError, match=r"random: image 3 of prompt p7 \('a red circle'\)"):
        check(rewards.load("control", "random"), scores(value, reason), PROMPTS)


def test_scores_that_are_too_few_are_an_error():
    with pytest.raises(ValueError, match="1 scores, 1 reasons and 1 details for 2 images"):
        check(rewards.load("control", "random"), scores(0.5, None), pd.concat([PROMPTS, PROMPTS]))


def test_a_blank_image_is_not_judged():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[1, 0] = 255
    found = score_each(images, lambda image: 0.5)
    assert found.reasons == [BLANK, None]
    np.testing.assert_array_equal(found.values, [np.nan, 0.5])


def test_batches_hold_every_image_that_is_not_blank_once():
    images = np.arange(7 * 12, dtype=np.uint8).reshape(7, 2, 2, 3)
    images[3] = 9
    batches = []

    def judge(places):
        batches.append(places.tolist())
        return places / 10

    found = score_batches(images, 4, judge)
    assert batches == [[0, 1, 2, 4], [5, 6]]
    assert found.reasons == [None, None, None, BLANK, None, None, None]
    np.testing.assert_array_equal(found.values, [0.0, 0.1, 0.2, np.nan, 0.4, 0.5, 0.6])


def test_images_that_are_not_bytes_are_an_error():
    with pytest.raises(ValueError, match=r"uint8 .* got float64 \[1, 8, 8, 3\]"):
        score_each(np.zeros((1, 8, 8, 3)), lambda image: 0.5)


@pytest.mark.parametrize("aspect, evaluator", EMBEDDED)
def test_every_evaluator_says_what_it_is_and_stays_in_its_range(aspect, evaluator, draw, prompts, questions):
    options = {"vqa": "shapes"} if evaluator in ("tifa", "dsg") else {}
    reward = rewards.load(aspect, evaluator, **options)
    found = check(reward, reward.score(draw(noise=4.0, bend=0.1), prompts, questions), prompts)
    low, high = reward.range
    assert reward.name == evaluator
    assert reward.licence
    judged = found.values[np.isfinite(found.values)]
    assert ((judged >= low) & (judged <= high)).all()


class Evaluator:
    name = metric = "mine"
    higher_is_better, range, licence = True, (0.0, 1.0), "CC0"

    def __init__(self, given):
        self.given = given

    def score(self, images, prompts, questions):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


ONE = [None]
NO_SCORES = [
    ([0.5], "its score() gave list; expected Scores"),
    (None, "its score() gave NoneType; expected Scores"),
    (0.5, "its score() gave float; expected Scores"),
    (Scores(np.full((1, 1), 0.5), ONE, ONE), "its scores have the shape [1, 1]; expected [1]"),
    (Scores(0.5, ONE, ONE), "its scores have the shape []; expected"),
    (Scores(["much"], ONE, ONE), "its scores are no numbers"),
    (Scores(np.array([0.5]), None, ONE), "its reasons are None; expected a list of str or None"),
    (Scores(np.array([0.5]), [3], ONE), "its reasons are [3]; expected a list of str or None"),
    (Scores(np.array([0.5]), ONE, ["x"]), "its details are ['x']; expected a list of dict or None"),
    (Scores(np.array([]), [], []), "0 scores, 0 reasons and 0 details for 1 images"),
]


@pytest.mark.parametrize("given, problem", NO_SCORES, ids=[problem for _, problem in NO_SCORES])
def test_what_is_no_score_is_refused_before_it_is_used(given, problem):
    with pytest.raises(ValueError) as error:
        judged(Evaluator(given), np.zeros((1, 8, 8, 3), np.uint8), PROMPTS.iloc[:1], None)
    assert str(error.value).startswith("mine: ") and problem in str(error.value)


def test_numbers_of_torch_are_numbers():
    given = Scores(torch.full((1,), 0.5), ONE, ONE)
    found = judged(Evaluator(given), np.zeros((1, 8, 8, 3), np.uint8), PROMPTS.iloc[:1], None)
    assert found.values.dtype == np.float64 and found.values.tolist() == [0.5]


@pytest.mark.parametrize("error", [KeyError("prompt"), SystemExit("bye"), torch.OutOfMemoryError("CUDA out of memory")])
def test_an_error_of_an_evaluator_has_its_name(error):
    with pytest.raises(RuntimeError) as raised:
        judged(Evaluator(error), np.zeros((1, 8, 8, 3), np.uint8), PROMPTS.iloc[:1], None)
    assert str(raised.value) == f"mine: {type(error).__name__}: {error}" and raised.value.__cause__ is error


BUILT_IN = [("aesthetic", "classical"), ("low_level", "classical"), ("geometry", "regularity"), ("geometry", "lines")]


@pytest.mark.parametrize("aspect, name", BUILT_IN)
def test_small_images_and_black_and_white_ones_have_a_score_or_a_reason_without_a_warning(aspect, name):
    rng = np.random.default_rng(0)
    reward = rewards.load(aspect, name)
    row = pd.DataFrame({"prompt_id": ["p"], "k": [0], "text": ["x"]})
    sides = [(height, width) for height in (1, 2, 3, 5, 9) for width in (1, 2, 3, 7)] + [(64, 64)]
    with warnings.catch_warnings(action="error"):
        for height, width in sides:
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            drawing = np.where(np.arange(height)[:, None, None] < height / 2, 0, 255) * np.ones((1, width, 3))
            for image in (noise, (noise > 127).astype(np.uint8) * 255, drawing.astype(np.uint8)):
                check(reward, reward.score(image[None], row, None), row)
