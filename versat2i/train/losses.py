"""Loss functions of adapters and gates."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

from versat2i.models.diffusion import Backbone, Embeddings
from versat2i.settings.training import Training
from versat2i.train.examples import Examples, Rows

Range = tuple[float, float]
WHOLE: Range = (0.0, 1.0)


def diffusion_loss(
    model: Backbone,
    latents: Tensor,
    prompts: Embeddings,
    generator: torch.Generator,
    min_snr: float | None,
    timesteps: Range = WHOLE,
    rows: Rows | None = None,
) -> Tensor:
    """Mean squared error of the denoiser's prediction at random timesteps.

    How latents are noised and what is predicted, noise, velocity or flow, the model's schedule says
    (`diffusion.schedules`).

    Args:
        model: the model, with the adapter or gate under training in place.
        latents: clean latents z, ``[batch, channels, height, width]``.
        prompts: their prompt embeddings.
        generator: on the CPU; draws noise and timesteps.
        min_snr: gamma of min-SNR weighting, or None for plain loss.
        timesteps: the part of the schedule to draw timesteps from, see `_draws`.
        rows: of which rows of a batch this is the loss; None: of a whole one.
    """
    noise, times = _draws(model, latents, generator, timesteps, rows)
    noisy, target = _diffused(model, latents, noise, times)
    prediction = model.predict(noisy, times.to(model.device), prompts).float()
    errors = F.mse_loss(prediction, target, reduction="none").mean(tuple(range(1, target.ndim)))
    if min_snr is not None:
        errors = errors * model.schedule.weights(times, min_snr).to(errors)
    return errors.mean()


def _draws(
    model: Backbone, latents: Tensor, generator: torch.Generator, timesteps: Range, rows: Rows | None
) -> tuple[Tensor, Tensor]:
    """Noise and a timestep for each of some latents, on the CPU.

    The timesteps are stratified, one from each of ``batch`` equal parts of the range: batches of any seed then cover
    it alike, and their losses differ by less. Some rows of a batch get what they would get within all of them.

    Args:
        model: whose schedule it is.
        latents: ``[batch, channels, height, width]``.
        generator: on the CPU.
        timesteps: lowest and highest quantile of the timesteps that the model was trained at, 0 clean, 1 noise.
        rows: of a batch that the latents are; None: a whole one.
    """
    rows = rows or Rows(0, len(latents), len(latents))
    noise = torch.randn(rows.whole, *latents.shape[1:], generator=generator)
    strata = (torch.arange(rows.whole) + torch.rand(rows.whole, generator=generator)) / rows.whole
    low, high = timesteps
    return rows.of(noise), model.times(low + (high - low) * rows.of(strata), latents.shape)


def _diffused(model: Backbone, latents: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and what is to be predicted from them, on the model's device."""
    latents, noise, timesteps = (t.to(model.device) for t in (latents.float(), noise, timesteps))
    return model.schedule.diffuse(latents, noise, timesteps)


def contrast_loss(
    model: Backbone,
    pairs: Tensor,
    prompts: Embeddings,
    weights: Tensor,
    generator: torch.Generator,
    without: Callable[[], AbstractContextManager[None]],
    timesteps: Range = WHOLE,
    min_snr: float | None = None,
    rows: Rows | None = None,
) -> Tensor:
    """``mean w |v - v_best|^2 + mean w |2 v_base - v - v_rival|^2`` over the pairs.

    v is the prediction, v_base that of the base model, v_best and v_rival the targets; both images have one
    noise and one timestep. The prediction is drawn to the better image, its reflection about the base's to the
    worse one (the implicit negative policy of DiffusionNFT, Zheng et al. 2025, arXiv 2509.16117, eq. 5, at
    beta 1). What both images have in common cancels where v = v_base: that they were drawn with guidance, and
    by this very model with its own errors. The plain loss learns that first. w lets a pair count more that is further
    apart in its score: it says more about the aspect and no more of all else in which two images differ.

    Args:
        model: with the adapter or gate under training in place.
        pairs: clean latents of best and rival, ``[batch, 2, channels, height, width]``.
        prompts: their prompt embeddings, one a pair.
        weights: w, one a pair.
        generator: on the CPU; draws noise and timesteps.
        without: a context in which the model is its base.
        timesteps: the part of the schedule to draw timesteps from, see `_draws`.
        min_snr: gamma of min-SNR weighting of both terms, or None for none.
        rows: of which rows of a batch this is the loss; None: of a whole one.
    """
    draws = _draws(model, pairs[:, 0], generator, timesteps, rows)
    noise, times = (draw.repeat(2, *[1] * (draw.ndim - 1)) for draw in draws)
    noisy, target = _diffused(model, pairs.transpose(0, 1).flatten(0, 1), noise, times)
    both, times = Embeddings.concatenate([prompts, prompts]), times.to(model.device)
    with torch.no_grad(), without():
        base = model.predict(noisy, times, both).float()
    change = model.predict(noisy, times, both).float() - base
    best, rival = change.chunk(2)
    errors = F.mse_loss(base + torch.cat([best, -rival]), target, reduction="none").mean(tuple(range(1, target.ndim)))
    if min_snr is not None:
        errors = errors * model.schedule.weights(times, min_snr).to(errors)
    return 2 * (weights.to(errors).repeat(2) * errors).mean()


def objective(
    model: Backbone, settings: Training, without: Callable[[], AbstractContextManager[None]]
) -> Callable[[Examples, torch.Generator], Tensor]:
    """The loss of a batch, or of some rows of one, that params ask for.

    Args:
        model: with the adapter or gate under training in place.
        settings: `objective` and what belongs to it.
        without: a context in which the model is its base.
    """

    def loss(batch: Examples, generator: torch.Generator) -> Tensor:
        latents, prompts, part, gamma = batch.latents, batch.prompts, settings.timesteps, settings.min_snr
        if settings.objective == "contrast":
            return contrast_loss(model, latents, prompts, batch.weights, generator, without, part, gamma, batch.rows)
        return diffusion_loss(model, latents, prompts, generator, gamma, part, batch.rows)

    return loss
