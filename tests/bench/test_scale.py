"""A run without a model goes through every step; what a rerun draws and scores anew is counted."""

import json

import forks
import pytest

from bench import scale, stand_ins
from versat2i.formats import shards, tables
from versat2i.formats.shards import Candidate
from versat2i.generate import plan


@pytest.fixture
def quick(monkeypatch):
    """What is measured are forks: `tests/forks.py`."""
    monkeypatch.setattr(scale, "FIRST", (str(forks.for_stages()), str(forks.for_dvc()), *scale.FIRST))


def test_a_rerun_after_more_prompts_draws_and_scores_these_alone(tmp_path, quick):
    """32 prompts fill the first shards; 4 more make shards of their own, with 8 candidates of each prompt."""
    told = {}
    found = scale.run(tmp_path / "run", 256, 0.125, lambda name, cost: told.update({name: cost}))
    assert {name: found[name] for name in ("candidates", "drawn", "to score", "scored")} == {
        "candidates": 288,
        "drawn": 32,
        "to score": 4 * 288,
        "scored": 4 * 32,
    }
    assert "up to date" in told["dvc status"].output
    assert list(told)[-4:-2] == ["dvc commit", "dvc status"] and "dvc push" in list(told)[-2]
    assert all(cost.seconds > 0 and cost.peak > 0 for cost in told.values())


def test_without_a_rerun_the_candidates_are_written_at_once_and_picked_as_ever(tmp_path, quick):
    told = []
    found = scale.run(tmp_path / "run", 64, 0.0, lambda name, cost: told.append(name))
    assert told[:5] == [
        "stand-ins",
        *(f"select@{name}" for name in ("aesthetic", "faithfulness", "geometry", "low_level")),
    ]
    assert told[5:7] == ["compare", "report"]
    assert found["pictures"] > 0 and found["data bytes"] > 0
    metrics = json.loads((tmp_path / "run/metrics/select/geometry.json").read_text())
    assert (metrics["candidates"], metrics["prompts"], metrics["picks"]) == (64, 8, 8)
    assert not list(tmp_path.glob("*-remote")), "the remote is taken away"


def test_shards_written_at_once_are_those_that_are_drawn(tmp_path):
    keys = [(prompt_id, k) for prompt_id in ("a", "b") for k in range(4)]
    stand_ins._write(tmp_path, {"at_once": keys})
    device = stand_ins.Device()
    latents = device.draw(None, None, [0] * len(keys))
    images = device.decode(latents)
    drawn = [Candidate(p, k, k, image, made.numpy()) for (p, k), image, made in zip(keys, images, latents, strict=True)]
    shards.write(tmp_path / "drawn", drawn)
    for ending in (".tar", ".parquet"):
        assert (tmp_path / f"at_once{ending}").read_bytes() == (tmp_path / f"drawn{ending}").read_bytes()


def test_sentences_differ_and_have_things_in_them():
    sentences = [stand_ins.text(number) for number in range(5000)]
    assert len(set(sentences)) == 5000 and sentences[1] == f"{sentences[0][:-6]}square"


def test_the_details_of_an_answerer_are_as_many_as_its_questions():
    answers = stand_ins.details(0.6)["answers"]
    assert [answer["correct"] for answer in answers] == [True, True, True, False, False]
    assert tables.LONGEST > len(json.dumps(answers)) > 400


def test_one_percent_more_prompts_touch_little_more_than_a_percent():
    """Full shards stay; the last of each block of k grows. A shard holds 32 prompts, so the excess is less."""
    ids = [f"p{number}" for number in range(12_625)]
    before, after = (plan.blocks(ids[:amount], 8, 32) for amount in (12_500, 12_625))
    anew = sum(len(keys) for name, keys in after.items() if before.get(name) != keys)
    assert anew == (12_625 - 390 * 32) * 8 == 1160 and anew / (12_625 * 8) < 0.015
