"""An estimate is counted from configs, and says so: parameters, operations, bytes, and hours by division."""

import re

import drawn
import pytest
import tiny_flows
import torch
from click.testing import CliRunner

from versat2i.cli import main
from versat2i.models import diffusion
from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.tools import estimate as estimating
from versat2i.tools import measure, plan
from versat2i.tools.devices import DEVICES
from versat2i.work import fingerprint

PROMPTS = {"train": 10, "dev": 4, "eval": 7}
FLOWS = ("z_image", "klein", "sana")  # each family's pass is counted in test_skeleton.py


def settings(model, **changes):
    whole = drawn.settings(model, ("aesthetic", "low_level")).model_dump()
    for section, values in changes.items():
        whole[section] |= values
    return params.Params.model_validate(whole)


def flow(name, tmp_path):
    folder = tiny_flows.folder(name, tmp_path / name)
    model = params.Model(path=str(folder), dtype="bfloat16", threads=1)
    return settings(model, generate={"size": 32}, evaluate={"size": 64})


def test_weights_and_adapters_are_those_of_the_loaded_model(model):
    whole = settings(model)
    found, loaded = estimating.estimate(whole, CPU), diffusion.load(model)
    rules = {aspect: whole.train_lora[aspect] for aspect in whole.aspects}
    assert found.adapter_bytes == [plan._bytes(adapter) for adapter in measure.untrained(loaded, rules)]
    total = sum(size for _, size in found.parameters.values())
    assert total == sum(p.nbytes for part in loaded.parts for p in part.parameters())


@pytest.mark.parametrize("family", FLOWS)
def test_every_kind_of_work_of_a_transformer_is_counted(family, tmp_path):
    whole = flow(family, tmp_path)
    found = estimating.estimate(whole, CPU)
    kinds = {w.kind for w in plan.work(whole, PROMPTS, found.passes) if not w.stage.startswith("score")}
    kinds -= {f"{aspect} random" for aspect in whole.aspects}
    assert kinds <= found.flops.keys() and kinds <= found.memory.keys()
    assert found.flops["draw 64 px"] > found.flops["draw 32 px"] > 0
    assert min(found.memory.values()) > sum(size for _, size in found.parameters.values())


def test_twice_the_steps_are_twice_the_passes(model):
    """What an image costs beside its passes is the same."""
    one, two, three = (
        estimating.estimate(settings(model, generate={"steps": steps}, evaluate={"steps": steps}), CPU).flops["draw"]
        for steps in (10, 20, 30)
    )
    assert two - one == pytest.approx(three - two) and one > two - one


def test_guidance_is_a_second_pass(model):
    def draw(steps, scale):
        sampling = {"steps": steps, "guidance_scale": scale}
        return estimating.estimate(settings(model, generate=sampling, evaluate=sampling), CPU).flops["draw"]

    assert draw(10, 3.0) == pytest.approx(draw(20, 1.0))


def changed(model, **rule):
    whole = settings(model).model_dump()
    for aspect in whole["aspects"]:
        whole["train_lora"][aspect] |= rule
    return params.Params.model_validate(whole)


def test_pairs_are_seen_twice_once_by_the_base(model):
    """A step on pairs: pick and rival, forward by the base and by the adapter, then back."""
    plain = estimating.estimate(changed(model, objective="sft", batch_size=2), CPU).flops["lora aesthetic"]
    pairs = estimating.estimate(changed(model, objective="contrast", batch_size=1), CPU).flops["lora aesthetic"]
    once = estimating.estimate(changed(model, objective="sft", batch_size=4), CPU).flops["lora aesthetic"]
    assert once == pytest.approx(2 * plain, rel=1e-3)
    assert plain < pairs < 1.5 * plain  # a forward pass more; a way back is at least as long as it


def test_what_saves_memory_saves_it_in_the_estimate(model):
    whole = changed(model, objective="sft", batch_size=16)
    plain = estimating.estimate(whole, CPU)
    again = estimating.estimate(whole, CPU.model_copy(update={"gradient_checkpointing": True}))
    assert again.memory["lora aesthetic"] < plain.memory["lora aesthetic"]
    assert again.flops["lora aesthetic"] > plain.flops["lora aesthetic"]
    away = estimating.estimate(whole, CPU.model_copy(update={"cpu_offload": True}))
    others = sum(size for name, (_, size) in plain.parameters.items() if name != "unet")
    assert plain.memory["lora aesthetic"] - away.memory["lora aesthetic"] == others


def test_a_device_holds_the_rows_it_takes_at_once_and_all_together_compute_the_batch(model):
    whole = changed(model, batch_size=8)
    machines = (CPU, CPU.model_copy(update={"devices": 2}), CPU.model_copy(update={"devices": 2, "micro_batch": 1}))
    found = [estimating.estimate(whole, machine) for machine in machines]
    kind = plan.training("aesthetic")
    peaks = [each.memory[kind] for each in found]
    assert peaks[0] > peaks[1] > peaks[2]
    assert [each.flops[kind] for each in found] == pytest.approx([found[0].flops[kind]] * 3)


def test_a_quantised_denoiser_has_half_a_byte_a_weight_of_its_linear_layers(model):
    """And of each block of 64 a scale of four bytes."""
    packed = settings(model.model_copy(update={"quantize": "nf4"}))
    found, loaded = estimating.estimate(packed, CPU), diffusion.load(model).denoiser
    linear = [layer.weight for layer in loaded.modules() if isinstance(layer, torch.nn.Linear)]
    numbers, rest = sum(w.numel() for w in linear), sum(p.numel() for p in loaded.parameters())
    expected = 0.5625 * numbers + 4 * (rest - numbers) + 4 * max(w.numel() for w in linear)
    assert found.parameters["unet"][0] == rest
    assert found.parameters["unet"][1] == pytest.approx(expected, rel=0.01)


def test_an_image_is_its_pixels_and_its_latents(model):
    loaded = diffusion.load(model)
    shape = loaded.latent_shape(None)
    expected = 1.6 * loaded.pixels(torch.Size(shape)) ** 2 + 4 * torch.Size(shape).numel()
    assert estimating.image_bytes(loaded, None) == pytest.approx(expected)


def estimate(*words):
    result = CliRunner().invoke(main, ["plan", "--estimate", *words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def embedded(monkeypatch):
    monkeypatch.chdir(fingerprint.ROOT)
    return estimate()


def test_the_embedded_model_is_estimated_end_to_end(embedded):
    first = embedded.splitlines()[0]
    assert first == "Estimated, not measured, from the configs of versat2i/shapes/model."
    assert "Assumed: 40% of a device's dense rate in float32, 1.6 bytes a pixel of PNG." in embedded
    whole = params.load()
    loaded = diffusion.load(whole.model)
    for name in ("unet", "vae", "text_encoder"):
        number = sum(p.numel() for p in getattr(loaded.pipe, name).parameters())
        assert re.search(rf"^{name} +{number:,} ", embedded, re.M)
    for stage in ("generate", "train_lora@geometry", "mix@mixture", "evaluate"):
        assert re.search(rf"^{stage} ", embedded, re.M)
    assert "score@" not in embedded and "fits RTX 4090" in embedded


def test_hours_are_operations_over_rate_and_utilisation(model):
    whole = settings(model)
    found = estimating.Estimated(flops={"draw": 3.6e18}, memory={})
    listed = [plan.Work("generate", 10, "image", "draw")]
    row = estimating._hours(listed, found, "bfloat16", 0.5)[1].split()
    assert row[-len(DEVICES) - 1] == "3600000.000"
    hours = [10 * 3.6e6 / (device.half * 0.5) / 3600 for device in DEVICES]
    assert [float(column) for column in row[-len(DEVICES) :]] == pytest.approx(hours, abs=0.005)
    assert whole.model.dtype == "float32"


def test_options_of_an_estimate_need_it():
    result = CliRunner().invoke(main, ["plan", "--prompts", "1", "1", "1"])
    assert result.exit_code == 2 and "belong to --estimate" in result.output
