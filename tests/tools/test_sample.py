"""Images drawn by hand are those that the stages draw."""

import dataclasses

import numpy as np
import pytest
import tiny

from versat2i.adapters import lora, mixture, mixture_files
from versat2i.generate import painter as painting
from versat2i.generate import plan as plans
from versat2i.models import diffusion
from versat2i.prompts.records import prompt_id
from versat2i.settings.compute import CPU
from versat2i.settings.params import Sampling
from versat2i.tools import sample

SETTINGS = Sampling(steps=2, guidance_scale=4.0, batch_size=4)
TEXTS = ["a red circle", "two blue squares on a navy background"]


def test_the_images_are_those_of_a_run_with_this_seed(model):
    drawn = list(sample.draw(sample.load(model, None, {}, CPU), TEXTS, 2, 7, SETTINGS))
    painter = painting.Painter(diffusion.load(model), SETTINGS, 7)
    plan = plans.plan({prompt_id(text): text for text in TEXTS}, 2, 2)
    expected = [candidate.image for shard in plan for candidate in painter.candidates(shard)]
    assert len(drawn) == len(expected) == 4
    for one, other in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def folder(model, tmp_path):
    """A mixture of two experts."""
    loaded = diffusion.load(model)
    experts = [tiny.adapter(loaded.denoiser, name, alpha=0.2) for name in ("colour", "form")]
    mixture_files.save(mixture.attach(loaded.denoiser, experts, "token"), tmp_path / "mixture", loaded.identity)
    return tmp_path / "mixture"


def test_a_weight_of_one_is_that_expert_alone(model, folder, tmp_path):
    loaded = diffusion.load(model)
    expert = dataclasses.replace(tiny.adapter(loaded.denoiser, "form", alpha=0.2), metadata=loaded.identity)
    lora.write(expert, tmp_path / "form")

    def first(adapter, weights):
        return next(sample.draw(sample.load(model, adapter, weights, CPU), TEXTS[:1], 1, 0, SETTINGS)).astype(int)

    alone, weighted, gated = first(tmp_path / "form", {}), first(folder, {"form": 1.0}), first(folder, {})
    assert np.abs(weighted - alone).max() <= 1 < np.abs(gated - alone).max()


def test_weights_without_a_mixture_are_refused(model):
    with pytest.raises(ValueError, match=r"weights are for a mixture's gates; base is none"):
        sample.load(model, None, {"form": 1.0}, CPU)
