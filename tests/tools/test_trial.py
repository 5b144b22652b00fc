"""What is known to go wrong with a base model is found on a small one, and said with what to change."""

import dataclasses

import numpy as np
import pytest
import tiny_families
import tiny_flows
from diffusers import DDPMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from tried import found, settings

from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.models.diffusion import running
from versat2i.settings.params import Model
from versat2i.tools import export as exporting
from versat2i.tools import trial
from versat2i.train import loop


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))


@pytest.fixture(scope="module", params=tiny_families.FAMILIES)
def folder(request, tmp_path_factory):
    return tiny_families.folder(request.param, tmp_path_factory.mktemp("family") / request.param)


@pytest.fixture
def sd15(tmp_path):
    return tiny_families.folder("sd15", tmp_path / "sd15")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_nothing_is_wrong_with_a_model_of_any_family_in_any_dtype(folder, dtype):
    results = found(settings(folder, dtype, {"batch_size": 32}))
    assert list(results) == ["model", "schedule", "image", "training", "export", "low_level"]
    assert not any(finding.advice for finding in results.values()), results


def test_gradients_that_vanish_are_found(sd15, monkeypatch):
    monkeypatch.setattr(loop, "SCALE", 1.0)
    monkeypatch.setattr(running, "multiplies_in", lambda dtype, device: True)
    rule = {"batch_size": 32 * 4**4}  # as many numbers as 32 images of 1024 pixels have
    training = found(settings(sd15, "float16", rule))["training"]
    assert "low_level: gradients in float16 and float32 have a cosine of " in training.found
    assert training.advice == "set model.dtype: bfloat16 in params.yaml"
    assert found(settings(sd15, "float32", rule))["training"].advice is None


def test_an_image_that_is_blank_is_found_and_ends_what_needs_one(sd15, monkeypatch):
    monkeypatch.setattr(diffusion.Backbone, "decode", lambda self, latents: np.zeros((2, 8, 8, 3), np.uint8))
    results = found(settings(sd15, "bfloat16"))
    assert results["image"].found == "blank"
    assert results["image"].advice == "set model.dtype: float32 in params.yaml"
    assert list(results) == ["model", "schedule", "image", "low_level"]


def test_an_export_that_leaves_alpha_out_is_found(sd15, monkeypatch):
    monkeypatch.setattr(lora, "folded", lambda adapter: dataclasses.replace(adapter, alpha=float(adapter.rank)))
    export = found(settings(sd15))["export"]
    assert "of a LoRA's effect apart" in export.found and "in diffusers' names" in export.advice


def test_an_export_that_a1111_takes_for_another_family_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(exporting.KOHYA_LABELS, "sdxl", {"ss_base_model_version": "stabilityai/..."})
    export = found(settings(tiny_families.folder("sdxl", tmp_path / "sdxl")))["export"]
    assert (
        export.found == "A1111 takes check.kohya.safetensors for sd1, it is sdxl" and "do not publish" in export.advice
    )


def test_a_shift_that_training_leaves_out_is_found(tmp_path, monkeypatch):
    folder = tiny_families.folder("sd35", tmp_path / "sd35")
    UniPCMultistepScheduler(flow_shift=3.0, use_flow_sigmas=True, prediction_type="flow_prediction").save_pretrained(
        folder / "scheduler"
    )
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler"))
    assert found(settings(folder))["schedule"].advice is None
    make = FlowMatchEulerDiscreteScheduler.from_config
    monkeypatch.setattr(FlowMatchEulerDiscreteScheduler, "from_config", lambda config, shift: make(config, shift=1.0))
    schedule = found(settings(folder))["schedule"]
    assert "UniPCMultistepScheduler: noise 0.754 in the middle of its times, 0.500 in training" in schedule.found
    assert "other times than are drawn" in schedule.advice


def test_betas_that_training_does_not_share_are_found(sd15, monkeypatch):
    make = DDPMScheduler.from_config
    monkeypatch.setattr(DDPMScheduler, "from_config", lambda config: make(config, beta_schedule="squaredcos_cap_v2"))
    assert "other times than are drawn" in found(settings(sd15))["schedule"].advice


def test_a_model_that_cannot_be_trained_is_found(sd15):
    EDMEulerScheduler().save_pretrained(sd15 / "scheduler")
    index = (sd15 / "model_index.json").read_text().replace("DDIMScheduler", "EDMEulerScheduler")
    (sd15 / "model_index.json").write_text(index)
    results = found(settings(sd15))
    assert "has no betas but sigma_data 0.5" in results["model"].advice
    assert list(results) == ["model", "low_level"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [({"targets": "convolutions"}, "no layer of this SD3Transformer2DModel"), ({"min_snr": 5.0}, "Leave min_snr out")],
    ids=["targets", "min_snr"],
)
def test_a_rule_that_does_not_fit_the_model_is_found(tmp_path, rule, message):
    folder = tiny_families.folder("sd35", tmp_path / "sd35")
    results = found(settings(folder, rule=rule))
    assert message in results["training"].advice and results["export"].advice is None


@pytest.mark.parametrize("family", ["z_image", "qwen_image", "klein", "sana"])
def test_a_flow_is_noised_in_training_as_its_sampler_takes_noise_away(family, tmp_path):
    """Those that shift by the size of the image too."""
    folder = tiny_flows.folder(family, tmp_path / family)
    model = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    assert trial._noised_alike(model, 32).advice is None
