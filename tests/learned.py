"""Trainings that ranks, which are processes of their own, find by their names."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tiny
import torch
import toy
from torch import nn

from versat2i.adapters import lora, mixture
from versat2i.mix import gates
from versat2i.models import diffusion
from versat2i.settings.params import Model
from versat2i.settings.training import Gates, TrainLora
from versat2i.train import examples, group, loop, losses
from versat2i.train.checkpoint import Checkpoint
from versat2i.work import ranks


@dataclass(frozen=True)
class Learning:
    """A training on selected sets: of a LoRA by `rule`, or of gates over two experts."""

    model: Model
    selected: Path
    rule: TrainLora | Gates
    micro: int | None = None

    def __call__(self, out: Path) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
        """The first step's gradient, what training changed of the parameters, and the losses; none but the first's."""
        model = diffusion.load(self.model)
        data = examples.of(model, [self.selected], self.rule.objective)
        loss: loop.Loss
        survey: loop.Survey | None = None
        if isinstance(self.rule, Gates):
            experts = [tiny.adapter(model.denoiser, name, alpha=0.1) for name in ("colour", "form")]
            mixed = mixture.attach(model.denoiser, experts, self.rule.scope, self.rule.scale, training=True)
            parameters = mixed.parameters()
            loss = gates.Balanced(losses.objective(model, self.rule, mixed.silenced), mixed, self.rule.balance)
            survey = loss.survey
        else:
            parameters = lora.attach(model.denoiser, "colour", 2, 2.0, self.rule.targets, 0)
            loss = losses.objective(model, self.rule, partial(lora.detached, model.denoiser))
        for number, parameter in enumerate(parameters):  # away from where parts of the gradient are zero
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        before = flat([parameter.detach() for parameter in parameters])
        _, batch, generator = next(examples.batches(data, self.rule, 0, 0))
        loop.gradient(loss, batch, generator, parameters, group.here(), self.micro, survey)
        gradient = flat([parameter.grad for parameter in parameters])
        curve: list[float] = []
        with suppress(ranks.Left):
            trained = loop.train(
                parameters, loss, data, self.rule, 0, Checkpoint(out / "run.pt"), "run", None, self.micro, survey
            )
            curve = trained["loss"].tolist()
        return gradient, flat([parameter.detach() for parameter in parameters]) - before, curve


def flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


@dataclass(frozen=True)
class All:
    """Several trainings one after the other, each in a folder of its own."""

    parts: tuple[Learning, ...]

    def __call__(self, out: Path) -> list[tuple[torch.Tensor, torch.Tensor, list[float]]]:
        found = []
        for number, part in enumerate(self.parts):
            (out / str(number)).mkdir(parents=True, exist_ok=True)
            found.append(part(out / str(number)))
        return found


@dataclass(frozen=True)
class Toy:
    """The training of `toy.Run`, to which things happen in one rank.

    Attributes:
        rank: whose.
        what: in a step, from 0: `kill`, `stop`, or `steep`, a gradient that is no number.
    """

    rank: int = 0
    what: dict[int, str] = field(default_factory=dict)

    def __call__(self, out: Path) -> tuple[torch.Tensor, list[float], list[bool]]:
        """Weight, losses and skipped steps; a training that was stopped goes on, and says so in `out`."""
        out.mkdir(parents=True, exist_ok=True)
        with suppress(loop.Stopped):
            return self.trained(out)
        (out / f"stopped-{group.here().number}").touch()
        return self.trained(out)

    def trained(self, out: Path) -> tuple[torch.Tensor, list[float], list[bool]]:
        run = toy.Run(out, steps=24)

        def loss(batch: examples.Examples, generator: torch.Generator) -> torch.Tensor:
            step, run.step = run.step, run.step + 1
            noise = batch.rows.of(torch.randn(batch.rows.whole, 4, generator=generator))
            value = (run.weight - batch.latents.flatten(1) - noise).square().mean()
            what = self.what.get(step, "nothing") if group.here().number == self.rank else "nothing"
            return self.strike(what, value, run.weight)

        curve = loop.train([run.weight], loss, toy.examples(), run.settings, 0, run.checkpoint, "run")
        return run.weight.detach(), curve["loss"].tolist(), curve["skipped"].tolist()

    def strike(self, what: str, value: torch.Tensor, weight: nn.Parameter) -> torch.Tensor:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        return value + toy.Steep.apply(weight) if what == "steep" else value
