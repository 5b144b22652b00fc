"""Train the gates of a mixture, and tell where they have gone."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from versat2i.adapters import lora, mixture
from versat2i.models import diffusion
from versat2i.seeds import stable_seed
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model
from versat2i.settings.training import Gates
from versat2i.train import examples, group, loop, losses, preview
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples
from versat2i.work import watch as tracking


class Balanced:
    """``L_diffusion + alpha L_balance`` of some rows of a batch, L_balance being that of the whole batch.

    ``L_balance = -log prod_i q_i`` is no sum over rows: rows whose own mean is ``q_r`` add to its gradient that of
    ``L_balance(q_r + c)``, ``c = q - q_r`` held constant.

    Args:
        fit: L_diffusion.
        mixed: the mixture whose gates are trained.
        alpha: weight of the balance.
    """

    def __init__(self, fit: loop.Loss, mixed: mixture.Mixture, alpha: float) -> None:
        self.fit, self.mixed, self.alpha = fit, mixed, alpha
        self.surveyed: Tensor | None = None  # q of a batch that is computed in parts

    def survey(self, parts: list[Examples], generator: torch.Generator) -> None:
        """Find the batch's q by a pass without gradient over this rank's parts of it."""
        self.mixed.reset()
        for part in parts:
            self.fit(part, generator.clone_state())
        means = [mean for layer in self.mixed.layers.values() if (mean := layer.mean_gate()) is not None]
        self.surveyed = self._whole(torch.stack(means).mean(dim=0), sum(map(len, parts)) / parts[0].rows.whole)

    def _whole(self, shares: Tensor, share: float) -> Tensor:
        """Compute the batch's q from that of this rank's share of its rows."""
        whole = share * shares.detach()
        group.here().add([whole])
        return whole

    def __call__(self, batch: Examples, generator: torch.Generator) -> Tensor:
        value, shares = self.fit(batch, generator), self.mixed.shares()
        whole = self._whole(shares, len(batch) / batch.rows.whole) if self.surveyed is None else self.surveyed
        return value + self.alpha * mixture.balance(shares + (whole - shares).detach())


def train_mixture(
    settings: Model,
    adapters: list[lora.Adapter],
    selected: list[Path],
    rule: Gates,
    seed: int,
    checkpoint: Checkpoint,
    machine: Compute,
    name: str,
) -> tuple[mixture.Mixture, dict[str, str], pd.DataFrame]:
    """Train the gates of a mixture of frozen experts on the union of their selected sets.

    ``L = L_diffusion + alpha L_balance`` (MoLE, Wu et al. 2024, eq. 9). Once trained, the gates see every
    pick again: what they say on average is that of the trained gates, in a run that was stopped too.

    Returns:
        the mixture, its metadata, and the loss of each step (kind `losses`).
    """
    model = diffusion.load(settings, machine)
    data = examples.of(model, selected, rule.objective)
    mixed = mixture.attach(model.denoiser, adapters, rule.scope, rule.scale, training=True)

    loss = Balanced(losses.objective(model, rule, mixed.silenced), mixed, rule.balance)
    parameters, own_seed = mixed.parameters(), stable_seed(seed, "mix")
    with tracking.watching(name, machine, partial(preview.samples, model, data)) as watch:
        curve = loop.train(
            parameters, loss, data, rule, own_seed, checkpoint, name, watch, machine.micro_batch, loss.survey
        )
    mixed.reset()
    with torch.no_grad():
        once = rule.model_copy(update={"steps": -(-len(data) // rule.batch_size)})
        for _, batch, generator in examples.batches(data, once, stable_seed(seed, "gates"), 0):
            picks = batch.latents[:, 0] if rule.objective == "contrast" else batch.latents
            losses.diffusion_loss(model, picks, batch.prompts, generator, None, rule.timesteps)
    return mixed, {**model.origin, "adapter": name}, curve


def gate_summary(mixed: mixture.Mixture) -> dict[str, Any]:
    """Where the gates have gone, over all that passed through them since training.

    Returns:
        the mean gate of each expert, the mean over layers of the gates' entropy in units of log N
        (1 = uniform) and of their distance from 1/N (half the sum of absolute differences, 0 to 1),
        and the mean of the learned scale and temperature.
    """
    gates = torch.stack(list(mixed.mean_gates().values()))
    amount = gates.shape[1]
    entropy = -(gates * gates.clamp_min(1e-12).log()).sum(1) / math.log(max(amount, 2))  # of one expert: 0
    distance = (gates - 1 / amount).abs().sum(1) / 2
    layers = [layer.gate for layer in mixed.layers.values()]
    means = {
        "entropy": entropy.mean(),
        "distance": distance.mean(),
        "scale": torch.stack([gate.scale.detach() for gate in layers]).mean(),
        "temperature": torch.stack([gate.log_tau.detach().exp() for gate in layers]).mean(),
    }
    names = [adapter.name for adapter in mixed.adapters]
    weights = {name: round(float(value), 6) for name, value in zip(names, gates.mean(0), strict=True)}
    return {"gate": weights} | {name: round(float(value), 6) for name, value in means.items()}
