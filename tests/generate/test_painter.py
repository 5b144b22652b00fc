"""Shards are drawn once, each candidate from its own noise, and only what is new is drawn."""

import dataclasses
import errno
import time
import weakref

import drawn
import numpy as np
import pytest
import tiny
import torch

from versat2i.adapters import loading, lora
from versat2i.formats import shards
from versat2i.generate import painter as painting
from versat2i.generate import plan as plans
from versat2i.models import diffusion
from versat2i.models.diffusion import Embeddings
from versat2i.seeds import stable_seed
from versat2i.settings.compute import CPU
from versat2i.settings.params import Sampling
from versat2i.work import pool
from versat2i.work import store as work_store

SAMPLING = Sampling(steps=1, guidance_scale=2.0, batch_size=3)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


def recipe(base, **changes):
    plain = painting.Recipe(base, None, SAMPLING, 0, CPU, "generate")
    return dataclasses.replace(plain, **changes)


def draw(plan, made_by):
    """``{shard name: (bytes of its files, whether it was drawn now)}``."""
    worker = made_by()
    drawn_now = {}
    for shard in plan:
        made = worker(shard)
        same, folder, new = made.result() if isinstance(made, pool.Pending) else made
        assert same is shard
        drawn_now[shard.name] = (
            [(folder / f"{shard.name}{ending}").read_bytes() for ending in (".tar", ".parquet")],
            new,
        )
    return drawn_now


def bytes_of(result):
    return {name: content for name, (content, _) in result.items()}


def fresh(result):
    return [name for name, (_, new) in result.items() if new]


def test_the_plan_has_every_candidate_once_with_its_text():
    plan = plans.plan(drawn.TEXTS, per_prompt=5, prompts_per_shard=2)
    assert [shard.name for shard in plan] == ["00000-000", "00000-001", "00001-000", "00001-001"]
    assert sorted(key for shard in plan for key in shard.keys) == [(p, k) for p in drawn.TEXTS for k in range(5)]
    for shard in plan:
        assert shard.texts == {prompt_id: drawn.TEXTS[prompt_id] for prompt_id, _ in shard.keys}


def test_a_shard_that_was_drawn_is_found_again(model, store, monkeypatch):
    plan = plans.plan(drawn.TEXTS, per_prompt=2, prompts_per_shard=2)
    first = draw(plan, recipe(model))
    assert fresh(first) == ["00000-000", "00001-000"]
    with monkeypatch.context() as patch:
        patch.setattr(diffusion, "load", None)  # the model is not even loaded
        again = draw(plan, recipe(model))
    assert fresh(again) == [] and bytes_of(again) == bytes_of(first)
    monkeypatch.setenv("VERSAT2I_WORK", str(store / "other"))
    elsewhere = draw(plan, recipe(model))
    assert fresh(elsewhere) == list(first) and bytes_of(elsewhere) == bytes_of(first)


def test_only_the_missing_shard_is_drawn_after_a_stop(model, monkeypatch):
    plan = plans.plan(drawn.TEXTS, per_prompt=1, prompts_per_shard=1)
    whole, decode = recipe(model), diffusion.Backbone.decode
    calls = []

    def stops_at_the_third(self, latents):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return decode(self, latents)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(diffusion.Backbone, "decode", stops_at_the_third)
        draw(plan, whole)
    assert fresh(draw(plan, whole)) == ["00002-000"]


def test_prompts_appended_and_a_larger_k_draw_only_their_own_shards(model):
    def result(texts, per_prompt):
        return draw(plans.plan(texts, per_prompt, prompts_per_shard=2), recipe(model))

    assert fresh(result(drawn.TEXTS, 4)) == ["00000-000", "00001-000"]
    more = drawn.TEXTS | {"p3": "two pink hearts"}
    assert fresh(result(more, 4)) == ["00001-000"]  # the one that was not full
    assert fresh(result(more, 5)) == ["00000-001", "00001-001"]


def test_whatever_changes_the_images_draws_them_again(model, tmp_path):
    plan = plans.plan({"p0": "a red circle"}, 1, 1)
    loaded = diffusion.load(model)
    adapter = dataclasses.replace(tiny.adapter(loaded.denoiser, "colour", alpha=0.2), metadata=loaded.identity)
    lora.write(adapter, tmp_path / "colour")
    changes = [
        {},
        {"seed": 1},
        {"sampling": SAMPLING.model_copy(update={"guidance_scale": 3.0})},
        {"prepare": loading.Put(tmp_path / "colour")},
    ]
    results = [draw(plan, recipe(model, **change)) for change in changes]
    assert all(fresh(result) == ["00000-000"] for result in results)
    assert len({result["00000-000"][0][0] for result in results}) == len(changes)
    assert fresh(draw(plan, recipe(model, sampling=SAMPLING.model_copy(update={"batch_size": 1})))) == ["00000-000"]
    assert fresh(draw(plan, recipe(model, prepare=loading.Put(tmp_path / "colour")))) == []
    assert fresh(draw([dataclasses.replace(plan[0], texts={"p0": "a blue star"})], recipe(model))) == ["00000-000"]


def test_a_candidate_does_not_depend_on_the_others(model):
    painter = painting.Painter(diffusion.load(model), SAMPLING, seed=0)

    def paint(texts, per_prompt):
        plan = plans.plan(texts, per_prompt, prompts_per_shard=8)
        return {(c.prompt_id, c.k): c for shard in plan for c in painter.candidates(shard)}

    many, few = paint(drawn.TEXTS, 2), paint({"p2": drawn.TEXTS["p2"]}, 2)
    assert list(many) == [(prompt_id, k) for prompt_id in drawn.TEXTS for k in range(2)]
    for key, candidate in few.items():
        np.testing.assert_allclose(candidate.latents, many[key].latents, atol=1e-4, rtol=1e-4)
        assert candidate.seed == many[key].seed == stable_seed(0, *key)
    assert not np.allclose(few["p2", 0].latents, few["p2", 1].latents)


def test_a_shard_holds_each_image_with_the_latents_it_was_decoded_from(model):
    loaded = diffusion.load(model)
    plan = plans.plan(drawn.TEXTS, 2, 8)
    ((_, folder, _),) = pool.run(recipe(model), plan, 1)
    candidates = list(shards.read_all(folder))
    assert [(c.prompt_id, c.k) for c in candidates] == list(plan[0].keys)
    for start in (0, 3):  # as the batches were
        batch = candidates[start : start + 3]
        images = loaded.decode(torch.from_numpy(np.stack([c.latents for c in batch])))
        np.testing.assert_array_equal(np.stack([c.image for c in batch]), images)


class Broken:
    """A model whose second image of a batch overflows."""

    def embed(self, texts):
        return Embeddings(torch.zeros(len(texts), 2, 1), torch.ones(len(texts), 2, dtype=torch.bool))

    def draw(self, embeddings, empty, seeds, steps, guidance_scale, size):
        latents = torch.zeros(len(seeds), 4, 2, 2)
        latents[1, 0, 0, 0] = torch.inf
        return latents

    def decode(self, latents):
        raise AssertionError("nothing of this batch should be decoded")


def test_latents_that_are_not_finite_name_their_prompt(tmp_path):
    painter = painting.Painter(Broken(), SAMPLING, seed=0)
    shard = plans.Shard("00000-000", (("p0", 0), ("p1", 2)), {"p0": "a red circle", "p1": "a blue star"})
    with pytest.raises(ValueError, match=r"not finite for candidate 2 of 'a blue star'; try model.dtype: float32"):
        list(painter.candidates(shard))


class Watched:
    """A model of flat images that counts those that are alive when a batch is drawn."""

    def __init__(self):
        self.alive = self.most = self.drawn = 0

    def embed(self, texts):
        return Embeddings(torch.zeros(len(texts), 2, 1), torch.ones(len(texts), 2, dtype=torch.bool))

    def draw(self, embeddings, empty, seeds, steps, guidance_scale, size):
        self.drawn += 1
        return torch.zeros(len(seeds), 4, 2, 2)

    def decode(self, latents):
        images = np.zeros((len(latents), 16, 16, 3), np.uint8)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(images, self.gone)  # it lives as long as one of its images, which are views of it
        return images

    def gone(self):
        self.alive -= 1


@pytest.fixture
def watched(monkeypatch):
    """A model in place of every model that is loaded."""
    model = Watched()
    monkeypatch.setattr(diffusion, "load", lambda *_: model)
    return model


def test_no_more_than_two_batches_of_images_are_held_at_a_time(model, watched):
    plan = plans.plan(drawn.TEXTS, per_prompt=12, prompts_per_shard=3)
    assert len(plan) == 3 and len(plan[0].keys) == 12
    one_by_one = recipe(model, sampling=SAMPLING.model_copy(update={"batch_size": 1}))
    assert [shard for shard, _, _ in pool.run(one_by_one, plan, 1)] == plan and watched.drawn == 36
    assert watched.most <= 3  # a thread that encoded one may let go of it a moment late


def test_the_next_shard_is_drawn_while_the_last_is_written(model, watched, monkeypatch):
    plan, made = plans.plan(drawn.TEXTS, per_prompt=1, prompts_per_shard=1), work_store.Store.make

    def waits(self, key, write):
        drawn_before = watched.drawn
        result = made(self, key, write)
        end = time.monotonic() + 60
        while drawn_before < 3 and watched.drawn == drawn_before and time.monotonic() < end:
            time.sleep(0.001)
        return result

    monkeypatch.setattr(work_store.Store, "make", waits)
    start = time.monotonic()
    assert [shard for shard, _, _ in pool.run(recipe(model), plan, 1)] == plan
    assert time.monotonic() - start < 50  # else it waited for a shard that was not begun


def test_a_disk_that_is_full_is_the_error_of_the_shard_and_leaves_nothing(model, watched, store, monkeypatch):
    def full(path, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards.tables, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        list(pool.run(recipe(model), plans.plan(drawn.TEXTS, 1, 1), 1))
    assert error.value.filename.startswith(str(store / "generate")) and not list((store / "generate").iterdir())


def test_stopped_in_the_middle_of_a_shard_the_one_before_is_kept_whole(model, watched, store, monkeypatch):
    plan, draw_one = plans.plan(drawn.TEXTS, 4, 1), Watched.draw

    def stops(self, *arguments):
        if self.drawn == 3:  # the second batch of the second shard
            raise KeyboardInterrupt
        return draw_one(self, *arguments)

    monkeypatch.setattr(Watched, "draw", stops)
    with pytest.raises(KeyboardInterrupt):
        list(pool.run(recipe(model), plan, 1))
    (kept,) = (store / "generate").iterdir()
    assert work_store.Store("generate").find(kept.name) == kept
    assert [path.name for path in shards.paths(kept)] == [f"{plan[0].name}.tar"]
