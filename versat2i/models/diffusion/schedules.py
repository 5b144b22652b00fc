"""Noise images in training and give the prediction target, both as the model's own scheduler defines them."""

from typing import Any, Protocol

import numpy as np
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor


class Schedule(Protocol):
    """A noising process z -> z_t and the target of the prediction."""

    def times(self, quantiles: Tensor) -> Tensor:
        """Timesteps as the denoiser takes them, at quantiles of those that it was trained at.

        Args:
            quantiles: from 0, the cleanest, to 1, the noisiest, ``[batch]``, on the CPU.
        """
        ...

    def diffuse(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents and what is to be predicted from them, both of the shape of the latents.

        Args:
            latents: clean latents z, ``[batch, channels, height, width]``.
            noise: eps, of the same shape.
            times: from `times`, ``[batch]``.
        """
        ...

    def weights(self, times: Tensor, gamma: float) -> Tensor:
        """Min-SNR weights of the loss, ``[batch]``."""
        ...


class Discrete:
    """``z_t = sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps`` at one of 1,000 steps.

    The target is the noise (epsilon) or ``v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z``
    (Salimans & Ho 2022).
    """

    def __init__(self, scheduler: DDPMScheduler) -> None:
        self.scheduler = scheduler
        self.kind = scheduler.config.prediction_type
        if self.kind not in ("epsilon", "v_prediction"):
            raise ValueError(f"the model's scheduler predicts {self.kind!r}; supported are epsilon and v_prediction")

    def times(self, quantiles: Tensor) -> Tensor:
        total = self.scheduler.config.num_train_timesteps
        return (quantiles * total).long().clamp(max=total - 1)

    def diffuse(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        target = noise if self.kind == "epsilon" else self.scheduler.get_velocity(latents, noise, times)
        return self.scheduler.add_noise(latents, noise, times), target

    def weights(self, times: Tensor, gamma: float) -> Tensor:
        return snr_weights(self.scheduler.alphas_cumprod, times, gamma, self.kind)


class Flow:
    """``z_t = (1 - sigma) z + sigma eps``; the target is ``eps - z`` (rectified flow, Liu et al. 2022).

    sigma is that of the scheduler at the share ``sigmoid(n)`` of its timesteps, n standard normal, counted from its
    noisy end (Esser et al. 2024, arXiv 2403.03206, sec. 3.1 and 5.3.2: logit-normal times, shifted for the
    resolution).

    Where the sampler shifts its times by the size of the image, these are shifted alike.
    """

    def __init__(self, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        self.scheduler, self.by_size = scheduler, bool(scheduler.config.use_dynamic_shifting)

    def times(self, quantiles: Tensor, shift: float | None = None) -> Tensor:
        """Return the times as `Schedule.times` does.

        Args:
            quantiles: ``[batch]``, on the CPU.
            shift: mu, of a sampler that shifts by the size of the image.
        """
        from_noise = torch.special.ndtri(1 - quantiles).sigmoid()
        total = self.scheduler.config.num_train_timesteps
        if shift is not None:
            self.scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / total, total), mu=shift)
        return self.scheduler.timesteps[(from_noise * total).long().clamp(max=total - 1)]

    def diffuse(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        sigma = (times / self.scheduler.config.num_train_timesteps).view(-1, *[1] * (latents.ndim - 1))
        return (1 - sigma) * latents + sigma * noise, noise - latents

    def weights(self, times: Tensor, gamma: float) -> Tensor:
        raise ValueError("min_snr weighs a loss of noise or velocity; this model is a flow. Leave min_snr out")


def snr_weights(alphas_cumprod: Tensor, timesteps: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """Min-SNR weights of a timestep's loss, ``[batch]``.

    ``min(snr, gamma) / snr`` for epsilon and ``min(snr, gamma) / (snr + 1)`` for v, with
    ``snr = alpha_bar / (1 - alpha_bar)`` (Hang et al. 2023, arXiv 2303.09556, sec. 3.4).
    """
    alpha_bar = alphas_cumprod.to(timesteps.device)[timesteps]
    snr = alpha_bar / (1 - alpha_bar)
    if prediction_type == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    return snr.clamp(max=gamma) / snr


def schedule_of(sampler: Any, by_size: bool = False) -> Schedule:
    """The schedule that a model was trained with, from the config of the pipeline's sampler.

    Args:
        sampler: of the pipeline.
        by_size: whether times that are shifted by the size of the image are supported: the family says how far.

    Raises:
        ValueError: the config does not say it, or says one that is not supported.
    """
    config, name = sampler.config, type(sampler).__name__
    if "flow" in name.lower() or config.get("prediction_type") == "flow_prediction":
        if config.get("use_dynamic_shifting") and not by_size:
            raise ValueError(
                f"the model's scheduler ({name}) shifts its times by the size of the image (use_dynamic_shifting); "
                "supported is one shift for all sizes. Set use_dynamic_shifting to false and shift to the model's own "
                "in the scheduler's config"
            )
        shift = config.get("flow_shift", config.get("shift", 1.0))  # as general solvers call it, and those of flows
        return Flow(FlowMatchEulerDiscreteScheduler.from_config(config, shift=shift))
    if "beta_start" not in config and config.get("trained_betas") is None:
        sigma = f" but sigma_data {config['sigma_data']}" if "sigma_data" in config else ""
        raise ValueError(
            f"the model's scheduler ({name}) has no betas{sigma}: how to noise its images is not known here, it would "
            "be trained as another model. Name a model whose scheduler has betas or is a flow"
        )
    return Discrete(DDPMScheduler.from_config(config))
