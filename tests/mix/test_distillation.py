"""A distilled LoRA is taught the weighted sum of the experts' changes, on states of its own trajectories."""

import dataclasses

import drawn
import pytest
import tiny
import tiny_flows
import torch
from diffusers import StableDiffusionPipeline

from versat2i.adapters import loading, lora, merges, mixture_files
from versat2i.mix import distillation, unions
from versat2i.models import diffusion
from versat2i.settings.compute import CPU
from versat2i.settings.params import Model
from versat2i.settings.training import Distilled
from versat2i.work import files

RULE = {
    **{name: drawn.LORA[name] for name in ("steps", "batch_size", "learning_rate", "lr_scheduler", "caption_dropout")},
    **{"kind": "distilled", "weights": {"colour": 0.5, "form": 1.0}, "rank": None},
    **{"states": [5.0, 2.0], "draw_steps": 3, "guidance_scale": 1.0, "checkpoint_every": 1},
}
WEIGHTS = RULE["weights"]
DRAWING = distillation.Drawing(steps=3, guidance_scale=1.0, size=64)
TEXTS = ["a red circle", "two pink hearts"]


def rule(**changed):
    return Distilled.model_validate(RULE | changed)


def experts(loaded, alpha=0.2):
    made = [tiny.adapter(loaded.denoiser, name, alpha=alpha) for name in ("colour", "form")]
    return [dataclasses.replace(adapter, metadata=loaded.identity) for adapter in made]


@pytest.fixture(scope="module")
def parts(tmp_path_factory, model_folder):
    """Two experts of the tiny model, and a selected set for each."""
    root = tmp_path_factory.mktemp("parts")
    loaded = diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))
    for adapter in experts(loaded):
        lora.write(adapter, root / "adapters" / adapter.name)
    selected = {name: drawn.selected(root / "selected" / name) for name in WEIGHTS}
    return {name: root / "adapters" / name for name in WEIGHTS}, selected


@pytest.fixture
def loaded(model):
    return diffusion.load(model)


@pytest.fixture
def taught(loaded):
    """A model with two experts and a student in place, and a call of its denoiser."""
    for adapter in experts(loaded):
        lora.insert(loaded.denoiser, adapter)
    lora.insert(loaded.denoiser, tiny.adapter(loaded.denoiser, "student", alpha=0.3))
    prompts = loaded.embed(TEXTS)
    return loaded, distillation.state(loaded, prompts, loaded.embed([""]), [1, 2], DRAWING, 1)


def unite(settings, parts, out, variant="distilled"):
    return unions.unite(variant, settings, *parts, unions.fingerprint(variant, settings, *parts), out, CPU)


def with_rule(model, **changed):
    settings = drawn.settings(model)
    return settings.model_copy(update={"mix": settings.mix | {"distilled": rule(**changed)}})


def test_the_target_is_base_and_the_weighted_sum_of_the_changes_each_expert_makes_alone(taught, model):
    loaded, call = taught
    found = distillation.summed(loaded, call, WEIGHTS, "student")

    def alone(*adapters):
        other = diffusion.load(model)
        for adapter in adapters:
            lora.insert(other.denoiser, adapter)
        with torch.no_grad():
            return distillation.predicted(other, call)

    base, (colour, form) = alone(), (alone(adapter) for adapter in experts(loaded))
    torch.testing.assert_close(found, base + 0.5 * (colour - base) + 1.0 * (form - base))
    assert (found - base).abs().max() > 1e-3
    with torch.no_grad():  # the student is in place again
        own = distillation.predicted(loaded, call)
    torch.testing.assert_close(own, alone(tiny.adapter(loaded.denoiser, "student", alpha=0.3)))
    assert torch.equal(distillation.summed(loaded, call, {"colour": 0.0, "form": 0.0}, "student"), base)


@pytest.mark.parametrize("number", [0, 2])
def test_a_state_is_one_of_the_students_own_trajectory(taught, number):
    loaded, _ = taught
    prompts, empty = loaded.embed(TEXTS), loaded.embed([""])
    seen = []
    hook = loaded.denoiser.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args, kwargs)), with_kwargs=True
    )
    loaded.draw(prompts, empty, [1, 2], 3, 1.0)
    hook.remove()
    (noisy, time, *_), kwargs = distillation.state(loaded, prompts, empty, [1, 2], DRAWING, number)
    assert torch.equal(noisy, seen[number][0][0]) and torch.equal(time, seen[number][0][1])
    assert torch.equal(kwargs["encoder_hidden_states"], seen[number][1]["encoder_hidden_states"])
    with pytest.raises(ValueError, match="calls the denoiser no 4 times in 3 steps"):
        distillation.state(loaded, prompts, empty, [1, 2], DRAWING, 3)


def test_the_student_of_one_expert_at_full_weight_has_nothing_to_learn(model, parts, tmp_path):
    """v* = v_base + (v_colour - v_base): it starts there."""
    settings = with_rule(model, weights={"colour": 1.0, "form": 0.0}, caption_dropout=0.0)
    _, curve, _ = unite(settings, parts, tmp_path / "distilled")
    assert curve["loss"][0] < 1e-10
    _, curve, _ = unite(with_rule(model), parts, tmp_path / "both")
    assert curve["loss"][0] > 1e-10  # of two it is not the sum of their LoRAs


def test_it_starts_at_the_exact_merge_or_the_best_of_its_rank(loaded):
    for rank in (None, 2):
        other = [tiny.adapter(loaded.denoiser, name, rank=2) for name in ("colour", "form")]
        name = f"rank{rank}"
        found = diffusion.load(Model(path=loaded.identity["base_model"], dtype="float32", threads=1))
        distillation._start(found.denoiser, other, rule(rank=rank), name)
        adapter = lora.extract(found.denoiser, name, rank or 4.0, {})
        whole = merges.weighted(other, WEIGHTS, name)
        expected = whole if rank is None else merges.truncated(whole, 2)
        for module, up in expected.up.items():
            torch.testing.assert_close(
                adapter.up[module].flatten(1) @ adapter.down[module].flatten(1),
                up.flatten(1) @ expected.down[module].flatten(1),
            )
        assert adapter.rank == (rank or 4)


def test_a_distilled_variant_is_an_ordinary_lora_that_plain_diffusers_draws_with(model, model_folder, parts, tmp_path):
    out = tmp_path / "distilled"
    metrics, curve, _ = unite(with_rule(model, rank=3), parts, out)
    assert metrics["steps"] == len(curve) == 3 and metrics["rank"] == 3
    assert [path.name for path in out.iterdir()] == [lora.FILE] and not mixture_files.holds(out)
    adapter = lora.read(out, "distilled")
    assert adapter.scale == 1 and adapter.metadata == diffusion.identity(model) | {"adapter": "distilled"}
    loaded, plain = diffusion.load(model), StableDiffusionPipeline.from_pretrained(model_folder)
    plain.load_lora_weights(str(out))
    loading.put(loaded, out)
    noisy, prompts = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)), loaded.embed(TEXTS[:1])
    with torch.no_grad():
        found = loaded.predict(noisy, torch.tensor([500]), prompts)
        torch.testing.assert_close(found, plain.unet(noisy, torch.tensor([500]), prompts.hidden).sample)


def test_training_brings_the_student_nearer_to_the_sum(model, parts, tmp_path):
    settings = with_rule(model, steps=25, learning_rate=3e-3, states=[1.0, 1.0], batch_size=4)
    _, curve, _ = unite(settings, parts, tmp_path / "distilled")
    assert curve["loss"].tail(5).mean() < 0.7 * curve["loss"].head(5).mean()


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_distillation_ends_with_the_same_bytes(model, parts, tmp_path, monkeypatch, stop):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "whole"))
    settings = with_rule(model)
    metrics, curve, _ = unite(settings, parts, tmp_path / "one")
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "stopped"))
    calls, summed = [], distillation.summed

    def fails(*args):
        calls.append(1)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        return summed(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distillation, "summed", fails)
        unite(settings, parts, tmp_path / "two")
    monkeypatch.setattr(distillation, "summed", lambda *args: calls.append(1) or summed(*args))
    again = unite(settings, parts, tmp_path / "two")
    assert len(calls) == stop + 1 + 3 - stop  # no step is done twice
    assert again[0] == metrics and again[1].equals(curve)
    assert files.folder_hash(tmp_path / "one") == files.folder_hash(tmp_path / "two")


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
@pytest.mark.parametrize("family", tiny_flows.ALL)
def test_every_family_is_taught_on_its_own_states(family, guidance_scale, tmp_path):
    loaded = diffusion.load(Model(path=str(tiny_flows.folder(family, tmp_path / family)), dtype="float32", threads=1))
    guidance_scale = guidance_scale if loaded.guided else 1.0
    drawing = distillation.Drawing(2, guidance_scale, None if loaded.denoiser_name == "unet" else 32)
    prompts, empty = loaded.embed(TEXTS), loaded.embed([""])
    parameters = lora.attach(loaded.denoiser, "expert", 2, 2.0, "attention", 0)
    for number, parameter in enumerate(parameters):
        torch.nn.init.normal_(parameter, 0, 0.1, torch.Generator().manual_seed(number))
    expert = lora.extract(loaded.denoiser, "expert", 2.0, {})
    lora.insert(loaded.denoiser, dataclasses.replace(expert, name="student"))
    calls = distillation.count_calls(loaded, prompts[:1], empty, drawing)
    assert calls in (2, 4)
    call = distillation.state(loaded, prompts, empty, [1, 2], drawing, calls - 1)
    target = distillation.summed(loaded, call, {"expert": 1.0}, "student")
    found = distillation.predicted(loaded, call)
    torch.testing.assert_close(found, target)
    base, _ = distillation.changes(loaded, call, [], "student")
    assert (target - base).abs().max() > 1e-4
    found.square().mean().backward()
