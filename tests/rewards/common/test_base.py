"""A score is a finite number or a reason; anything else is an error that names the image."""

import warnings

import numpy as np
import pytest
import torch
from scored import scored

from versat2i import rewards
from versat2i.rewards import control
from versat2i.rewards.common.base import BLANK, Explained, Prompt, batches, judged
from versat2i.settings.params import Reward

OWN = (
    "http",
    "levels",
    "unified_reward",
    "ocr",
    "classifier",
    "open_nsfw",
    "nearest",
    "vendi",
    "hpsv3",
)  # in several folders
FAMILIES = [(aspect, name) for aspect, name in rewards.catalogue() if name.endswith(":")]
PRETRAINED = [  # tested with models of their own
    *((aspect, name) for aspect, name in rewards.catalogue() if name in OWN),
    ("aesthetic", "laion"),
    ("faithfulness", "clipscore"),
    ("faithfulness", "geneval"),
    ("faithfulness", "soft_tifa"),
    ("faithfulness", "vqascore"),
    ("geometry", "projective"),
    ("judges", "hpsv2"),
    ("judges", "image_reward"),
    ("judges", "pickscore"),
    ("low_level", "q_instruct"),
    ("originality", "siblings"),
    ("safety", "checker"),
]
EMBEDDED = [pair for pair in rewards.catalogue() if pair not in FAMILIES + PRETRAINED]

PROMPT = Prompt("p7", "a red circle")
HALF = np.zeros((1, 8, 8, 3), np.uint8)
HALF[0, :4] = 255


class Evaluator:
    """Gives what it is told to give."""

    name = metric = "mine"
    higher_is_better, range, licence = True, (0.0, 1.0), "CC0"

    def __init__(self, given):
        self.given = given

    def score(self, images, prompts):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


def judge(given, images=HALF):
    return judged(Evaluator(given), images, [PROMPT] * len(images))


@pytest.mark.parametrize("given", [0.5, 1, np.float32(0.5), torch.tensor(0.5), "too dark"])
def test_a_number_or_a_reason_passes(given):
    (found,) = judge([given])
    assert found == (given if isinstance(given, str) else float(given))


@pytest.mark.parametrize("given", [np.array([0.5]), torch.full((1,), 0.5), (0.5,)])
def test_an_array_is_a_list_of_numbers(given):
    assert judge(given) == [0.5]


def test_a_score_may_be_explained():
    (found,) = judge([Explained(0.5, {"parts": [1, 0]})])
    assert found == 0.5 and found.details == {"parts": [1, 0]}


@pytest.mark.parametrize("given", [np.nan, np.inf, None, "", " ", [0.5], {}, Explained(np.nan, {}), object()])
def test_anything_else_is_an_error_that_names_the_image(given):
    with pytest.raises(ValueError, match=r"mine: the image of prompt p7 \('a red circle'\) got .*expected a finite nu"):
        judge([given])


NO_LISTS = [(None, "NoneType"), (0.5, "float"), ("good", "str"), ({"p7": 0.5}, "dict")]


@pytest.mark.parametrize("given, kind", NO_LISTS)
def test_what_is_no_list_is_refused(given, kind):
    with pytest.raises(ValueError, match=f"mine: its score.. gave {kind}; expected a list with a number for"):
        judge(given)


def test_scores_that_are_too_few_are_an_error():
    with pytest.raises(ValueError, match="mine: 0 scores for 1 images; expected one each"):
        judge([])


def test_a_blank_image_is_not_shown_to_an_evaluator():
    seen = []

    class Watching(Evaluator):
        def score(self, images, prompts):
            seen.append((len(images), [prompt.prompt_id for prompt in prompts]))
            return [0.5] * len(images)

    images = np.concatenate([np.zeros_like(HALF), HALF])
    found = judged(Watching(None), images, [Prompt("blank", "x"), PROMPT])
    assert found == [BLANK, 0.5] and seen == [(1, ["p7"])]
    assert judged(Watching(None), images[:1], [PROMPT]) == [BLANK] and len(seen) == 1


def test_batches_hold_every_image_with_its_prompt_once():
    images, prompts = np.arange(7), [Prompt(f"p{n}", "x") for n in range(7)]
    found = [(some.tolist(), [p.prompt_id for p in theirs]) for some, theirs in batches(4, images, prompts)]
    assert found == [([0, 1, 2, 3], ["p0", "p1", "p2", "p3"]), ([4, 5, 6], ["p4", "p5", "p6"])]


def test_images_that_are_not_bytes_are_an_error():
    with pytest.raises(ValueError, match=r"uint8 .* got float64 \[1, 8, 8, 3\]"):
        judge([0.5], np.zeros((1, 8, 8, 3)))


@pytest.mark.parametrize("aspect, evaluator", EMBEDDED)
def test_every_evaluator_says_what_it_is_and_stays_in_its_range(aspect, evaluator, draw, prompts, questions):
    options = {"vqa": "shapes"} if evaluator in ("tifa", "dsg") else {}
    reward = rewards.load(aspect, evaluator, **options)
    found = scored(reward, draw(noise=4.0, bend=0.1), prompts, questions)
    low, high = reward.range
    assert reward.name == evaluator
    assert reward.licence
    there = found.values[np.isfinite(found.values)]
    assert ((there >= low) & (there <= high)).all()


@pytest.mark.parametrize("error", [KeyError("prompt"), SystemExit("bye"), torch.OutOfMemoryError("CUDA out of memory")])
def test_an_error_of_an_evaluator_has_its_name(error):
    with pytest.raises(RuntimeError) as raised:
        judge(error)
    assert str(raised.value) == f"mine: {type(error).__name__}: {error}" and raised.value.__cause__ is error


BUILT_IN = [("aesthetic", "classical"), ("low_level", "classical"), ("geometry", "regularity"), ("geometry", "lines")]


@pytest.mark.parametrize("aspect, name", BUILT_IN)
def test_small_images_and_black_and_white_ones_have_a_score_or_a_reason_without_a_warning(aspect, name):
    rng = np.random.default_rng(0)
    reward = rewards.load(aspect, name)
    sides = [(height, width) for height in (1, 2, 3, 5, 9) for width in (1, 2, 3, 7)] + [(64, 64)]
    with warnings.catch_warnings(action="error"):
        for height, width in sides:
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            drawing = np.where(np.arange(height)[:, None, None] < height / 2, 0, 255) * np.ones((1, width, 3))
            for image in (noise, (noise > 127).astype(np.uint8) * 255, drawing.astype(np.uint8)):
                scored(reward, image[None])


class Earlier:
    name, metric, higher_is_better, range, licence = "earlier", "earlier", True, (0.0, 1.0), "CC0"

    def score(self, images, prompts, questions):
        return [0.5] * len(images)


def test_an_evaluator_of_the_earlier_contract_is_refused_in_one_line_that_says_what_to_change(monkeypatch):
    monkeypatch.setitem(control.EVALUATORS, "earlier", f"{__name__}:Earlier")
    with pytest.raises(ValueError, match=r"control.earlier: score\(images, prompts, questions\) is .* Take \(images"):
        rewards.load("control", "earlier")


def test_a_module_that_imports_what_the_earlier_contract_had_is_told_so(monkeypatch, tmp_path):
    (tmp_path / "old_plugin.py").write_text("from versat2i.rewards.common.base import Scores, score_each\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(control.EVALUATORS, "old", "old_plugin:Old")
    with pytest.raises(ValueError, match=r"control.old: old_plugin:Old was written for another version .*docs/"):
        rewards.load("control", "old")


def test_a_device_is_the_machines_and_no_option_of_params():
    with pytest.raises(ValueError, match=r"geometry.regularity: option 'device' .* Say it in compute.yaml"):
        rewards.from_params("geometry", Reward(evaluator="regularity", device="cuda"))
