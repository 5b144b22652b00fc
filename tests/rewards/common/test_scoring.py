"""Scores are the evaluator's own, made once, and each is a number or explained."""

import dataclasses
import re
from types import SimpleNamespace

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from scored import NO_QUESTIONS, scored, told

from versat2i import rewards
from versat2i.formats import shards
from versat2i.rewards import control
from versat2i.rewards.common import scoring
from versat2i.rewards.common.base import Explained
from versat2i.settings.params import Reward


class Brightness:
    """Mean pixel in [0, 1]; lists the prompts that it was asked about; abstains on `abstain`."""

    name, metric, higher_is_better, range, licence = "brightness", "brightness", True, (0.0, 1.0), "none"
    asked: list[str] = []  # noqa: RUF012

    def __init__(self, abstain="", forgets=False):
        self.abstain, self.forgets = abstain, forgets

    def score(self, images, prompts):
        self.asked.extend(prompt.text for prompt in prompts)
        silent = np.nan if self.forgets else "too dark"
        return [
            silent if prompt.prompt_id == self.abstain else Explained(image.mean() / 255, {"pixels": int(image.size)})
            for image, prompt in zip(images, prompts, strict=True)
        ]


@pytest.fixture(autouse=True)
def _own_store_and_evaluator(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    monkeypatch.setitem(control.EVALUATORS, "brightness", f"{__name__}:Brightness")
    Brightness.asked.clear()


@pytest.fixture
def shard(tmp_path):
    """A unit of one shard."""
    return (shards.paths(drawn.pool(tmp_path / "pool"))[0],)


PROMPTS = scoring.prompts_of(drawn.TEXTS, NO_QUESTIONS)


def worker(texts=drawn.TEXTS, questions=NO_QUESTIONS, aspect="control", evaluator="brightness", **options):
    return scoring.Recipe(aspect, Reward(evaluator=evaluator, **options), texts, questions)()


KEYS = [(prompt_id, k) for prompt_id in drawn.TEXTS for k in range(2)]


def test_scores_through_the_store_are_the_evaluators_own(shard):
    found, _ = worker()(shard)
    assert list(zip(found["prompt_id"], found["k"], strict=True)) == KEYS
    assert found["score"].tolist() == [drawn.candidate(*key).image.mean() / 255 for key in KEYS]
    assert found["abstained"].isna().all()
    assert set(found["details"]) == {'{"pixels": 12288}'}


@pytest.mark.parametrize("aspect", ["aesthetic", "low_level", "geometry"])
def test_embedded_evaluators_score_as_they_do_directly(shard, aspect):
    evaluator = {"geometry": "regularity"}.get(aspect, "classical")
    images = np.stack([drawn.candidate(*key).image for key in KEYS])
    prompts = pd.DataFrame(KEYS, columns=["prompt_id", "k"])
    prompts["text"] = prompts["prompt_id"].map(drawn.TEXTS)
    direct = scored(rewards.load(aspect, evaluator), images, prompts)
    found, _ = worker(aspect=aspect, evaluator=evaluator)(shard)
    np.testing.assert_array_equal(found["score"], direct.values)
    assert found["abstained"].astype(object).where(found["abstained"].notna(), None).tolist() == direct.reasons


def test_batches_cut_the_shard_without_losing_an_image(shard, monkeypatch):
    whole, _ = worker()(shard)
    monkeypatch.setattr(scoring, "BATCH", 4)
    cut = scoring.score_shards(Brightness(), shard, PROMPTS)
    for column in ("prompt_id", "k", "score"):
        assert cut[column].tolist() == whole[column].tolist()


def test_a_shard_is_scored_once(shard):
    first, new = worker()(shard)
    assert new and len(Brightness.asked) == 6
    found, new = worker()(shard)
    pd.testing.assert_frame_equal(found, first)
    assert not new and len(Brightness.asked) == 6


def test_what_an_evaluator_loads_while_it_scores_is_not_its_code(tmp_path):
    """A worker that has loaded its model must find what one that has not will look for."""
    drawn.pool(tmp_path / "pool")
    path = (shards.paths(tmp_path / "pool")[0],)
    loaded = worker()
    loaded.reward.model = pd.DataFrame()  # a thing of another package
    loaded(path)
    Brightness.asked.clear()
    worker()(path)
    assert Brightness.asked == []


def test_a_shard_is_scored_again_when_what_it_is_scored_by_changes(shard):
    question = {"prompt_id": "p0", "question_id": "q0", "question": "?", "choices": [], "answer": "yes"}
    asked = pd.DataFrame([question | {"element_type": "object", "parent_ids": []}])
    worker()(shard)
    for change in (
        {"texts": drawn.TEXTS | {"p0": "a blue star"}},
        {"questions": asked},
        {"abstain": "p9"},
    ):
        Brightness.asked.clear()
        worker(**change)(shard)
        assert len(Brightness.asked) == 6
    Brightness.asked.clear()
    worker(texts=drawn.TEXTS | {"p9": "another"}, questions=asked.assign(prompt_id="p9"))(shard)
    assert Brightness.asked == []  # what other prompts say and are asked is nothing to this shard
    drawn.pool(shard[0].parent, per_prompt=1)
    assert len(worker()(shard)[0]) == len(Brightness.asked) == 3


def test_a_shard_is_scored_again_by_other_weights_from_the_same_folder(shard, monkeypatch):
    for identity in ("folder#1", "folder#2"):
        monkeypatch.setattr(Brightness, "weights", [SimpleNamespace(identity=identity)], raising=False)
        Brightness.asked.clear()
        worker()(shard)
        assert len(Brightness.asked) == 6


def test_an_abstention_is_kept_with_its_reason(shard):
    found, _ = worker(abstain="p1")(shard)
    silent = found["prompt_id"] == "p1"
    assert found["score"].isna().equals(silent)
    assert found["abstained"][silent].tolist() == ["too dark"] * 2 and found["abstained"][~silent].isna().all()


def test_a_score_that_is_no_number_and_not_explained_names_the_image(shard, tmp_path):
    with pytest.raises(ValueError, match=r"brightness: image 0 of prompt p2 \('a green star'\) got nan; expected"):
        worker(abstain="p2", forgets=True)(shard)
    assert not list((tmp_path / "work" / "score@control").iterdir())  # nothing is kept of it


def test_prompts_reach_the_evaluator_with_their_images(shard):
    worker()(shard)
    assert Brightness.asked == [text for text in drawn.TEXTS.values() for _ in range(2)]


def test_a_prompt_without_an_image_is_named(tmp_path):
    scores = pd.DataFrame({"prompt_id": ["p0", "p2", "p2"]})
    scoring.expect_all(scores, {"p0": "a red circle", "p2": "a green star"}, tmp_path)
    with pytest.raises(ValueError, match=r"no image of 1 of 3 prompts \(the first is p1, 'two blue squares"):
        scoring.expect_all(scores, drawn.TEXTS, tmp_path)


class Fragile(Brightness):
    """Fails on the images of some prompts."""

    def __init__(self, fails=(), error=None, details=None):
        self.fails, self.error, self.details = fails, error, details

    def score(self, images, prompts):
        if {prompt.prompt_id for prompt in prompts} & set(self.fails):
            raise self.error
        return [Explained(image.mean(), self.details) for image in images]


def fragile(shard, **options):
    """The one line that scoring ends with."""
    with pytest.raises(ValueError) as error:
        scoring.score_shards(Fragile(**options), shard, PROMPTS)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("error", [ZeroDivisionError("x\ny"), ValueError("x\ny"), KeyError("x"), RuntimeError("x")])
@pytest.mark.parametrize("prompt_id", drawn.TEXTS)
def test_an_evaluator_that_raises_on_one_image_names_it(shard, prompt_id, error):
    line = fragile(shard, fails=[prompt_id], error=error)
    assert line.startswith(f"brightness: image 0 of prompt {prompt_id} ({drawn.TEXTS[prompt_id]!r}): ")
    assert "x" in line and (isinstance(error, ValueError) or type(error).__name__ in line)


def test_an_evaluator_that_raises_on_all_images_blames_none(shard):
    line = fragile(shard, fails=list(drawn.TEXTS), error=ValueError("its weights are missing"))
    assert line == "brightness: its weights are missing"


@pytest.mark.parametrize("details", [{"x": object()}, {"x": float("nan")}, {"x": float("inf")}, {1: 2, "a": 3}])
def test_details_that_are_no_json_are_refused(shard, details):
    assert "brightness: " in fragile(shard, details=details)


def test_want_of_memory_is_nobodys_image(shard):
    error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        scoring.score_shards(Fragile(["p1"], error), shard, PROMPTS)


def test_images_of_several_sizes_are_named(tmp_path):
    small = dataclasses.replace(drawn.candidate("p1", 0), image=np.zeros((8, 8, 3), np.uint8))
    shards.write(tmp_path / "00000-000", [drawn.candidate("p0", 0), small])
    assert re.search(
        r"00000-000.tar: p1.0 is \[8, 8, 3\], p0.0 is \[64, 64, 3\]", fragile((tmp_path / "00000-000.tar",))
    )


class Ranked(Brightness):
    """How many images of its prompt an image is brighter than: it has to see all of them."""

    grouped = True
    calls: list[tuple[str, int]] = []  # noqa: RUF012

    def score(self, images, prompts):
        (prompt_id,) = {prompt.prompt_id for prompt in prompts}
        self.calls.append((prompt_id, len(images)))
        means = images.mean((1, 2, 3))
        return [int((mean > means).sum()) for mean in means]


def split_pool(folder):
    """Two shards with the same prompts, k 0 to 2 and 3 to 4, and one with another prompt."""
    for name, ids, ks in (("00000-000", ("p0", "p1"), range(3)), ("00000-001", ("p0", "p1"), range(3, 5))):
        shards.write(folder / name, [drawn.candidate(prompt_id, k) for prompt_id in ids for k in ks])
    shards.write(folder / "00001-000", [drawn.candidate("p2", k) for k in range(5)])
    return folder


def test_a_grouped_evaluator_is_given_all_images_of_a_prompt_together(tmp_path, monkeypatch):
    monkeypatch.setitem(control.EVALUATORS, "ranked", f"{__name__}:Ranked")
    Ranked.calls.clear()
    folder, made = split_pool(tmp_path / "pool"), worker(evaluator="ranked")
    units = scoring.units(folder, made.reward)
    assert [[path.stem for path in unit] for unit in units] == [["00000-000", "00000-001"], ["00001-000"]]
    table = pd.concat([made(unit)[0] for unit in units], ignore_index=True)
    assert Ranked.calls == [("p0", 5), ("p1", 5), ("p2", 5)]
    for prompt_id, rows in table.groupby("prompt_id"):
        means = [drawn.candidate(prompt_id, k).image.mean() for k in rows["k"]]
        assert rows["score"].tolist() == [sum(mean > other for other in means) for mean in means]
    assert not any(new for _, new in map(made, units))  # all are kept


def test_others_are_given_one_shard_at_a_time(tmp_path):
    assert [len(unit) for unit in scoring.units(split_pool(tmp_path / "pool"), Brightness())] == [1, 1, 1]


def test_questions_reach_the_evaluator_with_their_prompt():
    rows = {"prompt_id": ["a", "b", "a"], "question_id": ["1", "1", "2"], "question": ["?", "??", "???"]}
    rows |= {"choices": [np.array(["yes", "no"])] * 3, "answer": "yes", "element_type": "object"}
    questions = pd.DataFrame(rows | {"parent_ids": [np.array([])] * 3})
    found = told(pd.DataFrame({"prompt_id": ["b", "a", "c"], "text": ["B", "A", "C"]}), questions)
    assert [[asked["question"] for asked in prompt.questions] for prompt in found] == [["??"], ["?", "???"], []]
    assert found[0].questions[0]["choices"] == ["yes", "no"] and "prompt_id" not in found[0].questions[0]
