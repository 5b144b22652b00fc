"""The losses are their formulas, computed from the scheduler's definitions."""

from contextlib import nullcontext

import drawn
import pytest
import torch
from diffusers import DDPMScheduler

from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.models.diffusion.schedules import Discrete, snr_weights
from versat2i.settings.params import Model
from versat2i.settings.training import TrainLora
from versat2i.train import losses
from versat2i.train.examples import Examples


@pytest.fixture(scope="module")
def loaded(model_folder):
    return diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))


def alpha_bars(zero_terminal):
    """Cumulative alphas of Stable Diffusion's schedule; at zero terminal SNR if asked (Lin et al. 2024, alg. 1)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    roots = (1 - betas).cumprod(0).sqrt()
    if zero_terminal:
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return roots**2


def strata(amount, generator, low=0.0, high=1.0):
    """A timestep from each of some equal parts of a range."""
    shares = (torch.arange(amount) + torch.rand(amount, generator=generator)) / amount
    return ((low + (high - low) * shares) * 1000).long()


@pytest.mark.parametrize("min_snr", [None, 5.0])
@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_the_loss_is_its_formula(loaded, kind, min_snr):
    zero_terminal = kind == "v_prediction"
    model = type(loaded)(loaded.pipe, loaded.identity)
    model.schedule = Discrete(
        DDPMScheduler.from_config(
            loaded.pipe.scheduler.config, prediction_type=kind, rescale_betas_zero_snr=zero_terminal
        )
    )
    latents = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompts = model.embed(["a red circle", "a blue star", "two green hearts", ""])
    with torch.no_grad():
        found = losses.diffusion_loss(model, latents, prompts, torch.Generator().manual_seed(5), min_snr)

        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(latents.shape, generator=generator)
        times = strata(4, generator)
        bar = alpha_bars(zero_terminal)[times]
        alpha, sigma = (part[:, None, None, None] for part in (bar.sqrt(), (1 - bar).sqrt()))
        target = alpha * noise - sigma * latents if kind == "v_prediction" else noise
        predicted = loaded.denoiser(alpha * latents + sigma * noise, times, prompts.hidden).sample
    errors = (predicted - target).square().mean((1, 2, 3))
    if min_snr is not None:
        snr = bar / (1 - bar)
        errors = errors * snr.clamp(max=min_snr) / (snr + (1 if kind == "v_prediction" else 0))
    torch.testing.assert_close(found, errors.mean(), atol=1e-4, rtol=1e-4)


def test_the_schedule_is_that_of_the_model(loaded):
    torch.testing.assert_close(loaded.schedule.scheduler.alphas_cumprod, alpha_bars(True), atol=1e-5, rtol=1e-4)
    assert loaded.schedule.kind == "v_prediction"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.6), (0.999, 1.0)])
def test_timesteps_are_drawn_evenly_from_the_range_asked_for(loaded, monkeypatch, low, high):
    seen = []
    predict = loaded.predict
    monkeypatch.setattr(
        loaded, "predict", lambda noisy, times, told: (seen.append(times), predict(noisy, times, told))[1]
    )
    prompts = loaded.embed(["a red circle"] * 5)
    with torch.no_grad():
        losses.diffusion_loss(
            loaded, latents(5, 4, 16, 16), prompts, torch.Generator().manual_seed(3), None, timesteps=(low, high)
        )
    (times,) = seen
    edges = (1000 * torch.linspace(low, high, 6)).floor()
    assert ((times >= edges[:-1]) & (times <= edges[1:])).all() and times.max() <= 999


def test_pure_noise_has_no_weight_in_v_prediction(loaded):
    last = torch.tensor([999])
    assert snr_weights(loaded.schedule.scheduler.alphas_cumprod, last, 5.0, "v_prediction").item() == 0


def test_the_loss_does_not_draw_from_the_global_random_state(loaded):
    before = torch.get_rng_state()
    latents, prompts = torch.zeros(1, 4, 16, 16), loaded.embed([""])
    losses.diffusion_loss(loaded, latents, prompts, torch.Generator().manual_seed(0), None)
    assert torch.equal(torch.get_rng_state(), before)


def latents(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def with_lora(model_folder):
    """The model with a LoRA that changes what it predicts, and what it predicts without."""
    model = diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))
    for parameter in lora.attach(model.denoiser, "colour", 2, 2.0, "attention", 0):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    return model


@pytest.mark.parametrize("min_snr", [None, 5.0])
def test_the_contrast_is_its_formula(with_lora, loaded, min_snr):
    """v is drawn to the best, its reflection about the base's to the rival, at one noise and timestep."""
    pairs, prompts = latents(3, 2, 4, 16, 16), loaded.embed(["a red circle", "a blue star", ""])
    weights, generator = torch.tensor([0.5, 1.0, 1.5]), torch.Generator().manual_seed(5)

    def without():
        return lora.detached(with_lora.denoiser)

    with torch.no_grad():
        rule = TrainLora(**(drawn.LORA | {"objective": "contrast", "min_snr": min_snr}))
        batch = Examples(pairs, prompts, prompts[:1], weights)
        found = losses.objective(with_lora, rule, without)(batch, generator)

        generator = torch.Generator().manual_seed(5)
        noise, times = torch.randn(3, 4, 16, 16, generator=generator), strata(3, generator)
        bar = alpha_bars(True)[times][:, None, None, None]
        if min_snr is not None:  # min(snr, gamma) / (snr + 1), snr = bar / (1 - bar)
            weights = weights * (bar / (1 - bar)).clamp(max=min_snr).flatten() * (1 - bar).flatten()
        expected = 0.0
        for image, sign in ((pairs[:, 0], 1), (pairs[:, 1], -1)):
            noisy = bar.sqrt() * image + (1 - bar).sqrt() * noise
            target = bar.sqrt() * noise - (1 - bar).sqrt() * image
            base = loaded.predict(noisy, times, prompts)
            change = with_lora.predict(noisy, times, prompts) - base
            assert change.abs().max() > 1e-3
            expected += (weights[:, None, None, None] * (base + sign * change - target).square()).mean()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_pair_of_one_image_teaches_nothing(with_lora):
    """Its gradient is that of ``2 |v - v_base|^2``, zero where the LoRA changes nothing."""
    for name, parameter in with_lora.denoiser.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    pairs = latents(2, 1, 4, 16, 16).expand(-1, 2, -1, -1, -1)
    prompts = with_lora.embed(["a red circle", "a blue star"])

    def without():
        return lora.detached(with_lora.denoiser)

    generator = torch.Generator().manual_seed(5)
    losses.contrast_loss(with_lora, pairs, prompts, torch.ones(2), generator, without).backward()
    gradients = [p.grad for p in with_lora.denoiser.parameters() if p.grad is not None]
    assert gradients and max(gradient.abs().max() for gradient in gradients) < 1e-6


def test_without_a_base_to_reflect_about_the_contrast_is_two_plain_losses(loaded):
    pairs, prompts = latents(2, 2, 4, 16, 16), loaded.embed(["a red circle", "a blue star"])
    with torch.no_grad():
        generator = torch.Generator().manual_seed(5)
        both = losses.contrast_loss(loaded, pairs, prompts, torch.ones(2), generator, nullcontext)
        plain = [
            losses.diffusion_loss(loaded, pairs[:, i], prompts, torch.Generator().manual_seed(5), None) for i in (0, 1)
        ]
    torch.testing.assert_close(both, sum(plain), atol=1e-4, rtol=1e-4)
