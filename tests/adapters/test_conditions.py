"""Gates of scope time and prompt follow the timestep and the text, whichever denoiser tells them."""

import math
from functools import partial

import pytest
import tiny
import tiny_flows
import torch
from mixed import CONV, TEXT_K, Q, attach, inputs, run
from torch import nn

import versat2i
from versat2i.adapters import conditions, mixture, mixture_files
from versat2i.models import diffusion
from versat2i.settings.params import Model

BOTH = ("time", "prompt")


def gates(mixed, time, text):
    """The gates of a layer for one call."""
    run(mixed.denoiser, torch.ones(len(text), 4, 8, 8), time, text)
    return mixed.layers[Q].gate(mixed.condition.hidden)[:, 0].detach()


def test_a_time_gate_sees_the_embedding_of_its_timestep_and_nothing_else():
    _, mixed = attach("time", spread=0.5)
    text = inputs(batch=3)[2]
    first, second, again = gates(mixed, torch.tensor([10, 900, 10]), text)
    assert torch.equal(first, again) and (first - second).abs().max() > 0.05
    same = gates(mixed, torch.tensor([10, 900, 10]), text.flip(0))
    torch.testing.assert_close(same, torch.stack([first, second, first]))
    expected = mixed.denoiser.time_embedding(mixed.denoiser.time_proj(torch.tensor([10])))
    run(mixed.denoiser, torch.ones(1, 4, 8, 8), torch.tensor([10]), text[:1])
    torch.testing.assert_close(mixed.condition.hidden[0], expected)


def test_a_prompt_gate_sees_the_mean_of_its_text_without_padding_and_nothing_else():
    _, mixed = attach("prompt", spread=0.5)
    text, time = inputs(batch=2)[2], torch.tensor([10, 900])
    first, second = gates(mixed, time, text)
    assert (first - second).abs().max() > 0.05
    torch.testing.assert_close(gates(mixed, time.flip(0), text), torch.stack([first, second]))
    torch.testing.assert_close(mixed.condition.hidden, text.mean(1, keepdim=True))
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    padded = text.clone()
    padded[~mask] = 7.0
    with mixed.masking(mask):
        found = gates(mixed, time, padded)
    torch.testing.assert_close(found[1:], gates(mixed, time[1:], text[1:, :2]))
    assert mixed.condition.mask is None
    with mixed.masking(mask[:1]), pytest.raises(ValueError, match="with guidance those of the empty"):
        run(mixed.denoiser)


@pytest.mark.parametrize("scope", BOTH)
@pytest.mark.parametrize("module", [Q, TEXT_K, CONV])
def test_a_layer_weighs_its_experts_by_the_gate_of_the_call(scope, module):
    """A gate a call is a constant weight: each image's update is that of a mixture with these weights fixed."""
    model, mixed = attach(scope, spread=0.5)
    latents, time, text = inputs()
    run(model, latents, time, text)
    layer = mixed.layers[module]
    size = layer.base.weight.shape[1]
    x = torch.randn(2, *((5, size) if layer.base.weight.ndim == 2 else (size, 6, 5)))
    found, weights = layer(x), layer.gate(mixed.condition.hidden)[:, 0] * layer.gate.scale
    for i in range(2):
        layer.fixed = weights[i].detach()
        torch.testing.assert_close(found[i : i + 1], layer(x[i : i + 1]))


@pytest.mark.parametrize("scope", BOTH)
def test_a_constant_gate_is_constant_weights(scope):
    """E = 0: g = softmax(b), whatever the timestep and text; then it is one ordinary LoRA, too."""
    model, mixed = attach(scope)
    for layer in mixed.layers.values():
        layer.gate.bias.data = torch.tensor([math.log(5), math.log(3), math.log(2)])
    found = run(model)
    assert mixture.collapse(mixed, "constant").scale == 1
    mixed.override({"aesthetic": 0.5, "geometry": 0.3, "quality": 0.2})
    torch.testing.assert_close(run(model), found)


def trained(scope, calls, steps=20):
    """Mean gates ``[call, expert]`` after training on a task in which each call wants one of two experts alone."""
    model = tiny.unet()
    experts = [tiny.adapter(model, name, targets=("attn1.to_v", "to_q")) for name in ("aesthetic", "geometry")]
    mixed, targets = mixture.attach(model, experts, scope, training=True), []
    for expert, call in zip(experts, calls, strict=True):
        mixed.override({expert.name: 1.0})
        targets.append(run(model, *call))
    mixed.override(None)
    optimizer, losses = torch.optim.Adam(mixed.parameters(), 0.02), []
    for _ in range(steps):
        optimizer.zero_grad()
        errors = [model(*call).sample - target for call, target in zip(calls, targets, strict=True)]
        loss = sum(error.square().mean() for error in errors)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    means = []
    for call in calls:
        mixed.reset()
        run(model, *call)
        means.append(torch.stack(list(mixed.mean_gates().values())).mean(0))
    return torch.stack(means)


def test_gates_of_two_timesteps_part_where_the_task_needs_it():
    latents, _, text = inputs()
    late, early = (latents, torch.tensor([50, 50]), text), (latents, torch.tensor([900, 900]), text)
    clean, noisy = trained("time", [late, early])
    assert clean[0] > noisy[0] + 0.1 and noisy[1] > clean[1] + 0.1


def test_gates_of_two_prompts_part_where_the_task_needs_it():
    latents, time, text = inputs()
    one, other = ((latents, time, part.expand(2, -1, -1)) for part in text.split(1))
    first, second = trained("prompt", [one, other])
    assert first[0] > second[0] + 0.1 and second[1] > first[1] + 0.1


@pytest.mark.parametrize("scope", BOTH)
def test_gates_that_follow_cannot_become_one_lora(scope, tmp_path):
    model, mixed = attach(scope, spread=0.5)
    run(model)
    mixture_files.save(mixed, tmp_path, {})
    for collapsed in (lambda: mixture.collapse(mixed, "x"), lambda: mixture_files.collapsed(tmp_path, "x")):
        with pytest.raises(ValueError, match=rf"its gates follow the \w+ \(scope: {scope}\).*scope: layer") as caught:
            collapsed()
        assert "\n" not in str(caught.value)


def test_a_layer_alone_and_an_unknown_denoiser_are_told():
    _, mixed = attach("time")
    with pytest.raises(ValueError, match="call the denoiser itself"):
        mixed.layers[Q](torch.ones(1, 2, 8))
    assert conditions.of(nn.Linear(2, 2), "token") is None
    for scope in BOTH:
        with pytest.raises(ValueError, match=f"scope: {scope}; this Linear .* known here"):
            conditions.of(nn.Linear(2, 2), scope)


def test_without_the_mixture_the_denoiser_is_not_followed():
    model, mixed = attach("time")
    run(model)
    before = mixed.condition.hidden
    mixed.detach()
    run(model, inputs()[0], torch.tensor([5, 6]), inputs()[2])
    assert torch.equal(mixed.condition.hidden, before)


def told(loaded, condition, noisy, times, prompts):
    """What a condition notes of a call."""
    condition.mask = prompts.mask
    with torch.no_grad():
        loaded.predict(noisy[: len(times)], times, prompts)
    return condition.hidden


@pytest.mark.parametrize("family", tiny_flows.ALL)
def test_every_family_tells_timestep_and_text(family, tmp_path):
    """A vector an image, another one for another timestep or text, the same in a batch and alone."""
    loaded = diffusion.load(Model(path=str(tiny_flows.folder(family, tmp_path / family)), dtype="float32", threads=1))
    size = None if loaded.denoiser_name == "unet" else 32
    prompts = loaded.embed(["a red circle", "two pink hearts on a navy background"])
    noisy, times = torch.randn(2, *loaded.latent_shape(size)), torch.tensor([900.0, 100.0])
    for scope in BOTH:
        condition = conditions.of(loaded.denoiser, scope)

        seen = partial(told, loaded, condition, noisy)
        hidden = seen(times, prompts)
        assert hidden.shape == (2, 1, condition.width) and hidden.isfinite().all()
        assert not torch.allclose(hidden[0], hidden[1], atol=1e-3)
        torch.testing.assert_close(seen(times[1:], prompts[1:]), hidden[1:], atol=1e-5, rtol=1e-4)
        other = (times.flip(0), prompts) if scope == "prompt" else (times, prompts[[1, 0]])
        torch.testing.assert_close(seen(*other), hidden, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scope", BOTH)
@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_a_loaded_pipeline_draws_what_the_stages_draw(scope, guidance_scale, model, tmp_path):
    """By prompts or by embeddings, with guidance and without."""
    loaded = diffusion.load(model)
    experts = [tiny.adapter(loaded.denoiser, name, alpha=0.2) for name in ("colour", "form")]
    mixed, generator = mixture.attach(loaded.denoiser, experts, scope), torch.Generator().manual_seed(1)
    for parameter in mixed.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
    texts = ["a red circle", "two pink hearts"]
    expected = loaded.draw(loaded.embed(texts), loaded.embed([""]), [1, 2], 2, guidance_scale)
    mixture_files.save(mixed, tmp_path, loaded.identity)
    pipe = versat2i.load(tmp_path)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    found = pipe(
        prompt=texts,
        guidance_scale=guidance_scale,
        generator=generators,
        num_inference_steps=2,
        output_type="latent",
    ).images
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
