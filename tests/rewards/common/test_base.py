"""A score is a finite number, or NaN with a reason; anything else is an error that names the image."""

import numpy as np
import pandas as pd
import pytest

from versat2i import rewards
from versat2i.rewards.common.base import BLANK, Scores, check, score_batches, score_each

FAMILIES = [(aspect, name) for aspect, name in rewards.catalogue() if name.endswith(":")]
PRETRAINED = [  # tested with models of their own
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
