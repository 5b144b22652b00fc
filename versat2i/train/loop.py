"""The training loop that every adapter and gate is trained by."""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from types import FrameType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from versat2i.settings.training import Descent
from versat2i.train import group
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples, batches
from versat2i.work import ranks
from versat2i.work.progress import Progress
from versat2i.work.watch import Watch

Loss = Callable[[Examples, torch.Generator], Tensor]
"""The mean loss of some rows of a batch. The generator is that of the step: it draws as for the whole batch."""

Survey = Callable[[list[Examples], torch.Generator], None]
"""Looks at this rank's rows of a batch, in the parts that follow one after the other, before any gradient."""

SCALE = 2.0**16  # of the loss while gradients are computed; a power of two, so float32 gradients stay as they are
MOST_SKIPPED = 0.05  # share of the steps whose gradients may overflow


def summary(losses: pd.DataFrame) -> dict[str, float]:
    """Steps, those skipped among them, and the mean loss of the first and of the last tenth."""
    tenth = max(1, len(losses) // 10)
    first, last = losses["loss"].head(tenth).mean(), losses["loss"].tail(tenth).mean()
    return {
        "steps": len(losses),
        "skipped": int(losses["skipped"].sum()),
        "first_loss": round(float(first), 6),
        "last_loss": round(float(last), 6),
    }


class Stopped(ValueError):
    """Training was asked to stop; its state is saved."""


@contextmanager
def _stop_flag() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C has come since; the former handlers are put back at the end."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    parameters: list[nn.Parameter],
    loss: Loss,
    examples: Examples,
    settings: Descent,
    seed: int,
    checkpoint: Checkpoint,
    label: str,
    watch: Watch | None = None,
    micro: int | None = None,
    survey: Survey | None = None,
) -> pd.DataFrame:
    """AdamW at the rate of `learning_rate`, with checkpoints.

    A run that is stopped goes on from its last checkpoint to the same weights: every draw is a
    function of (seed, step). A step whose gradients are not finite changes no weight.

    Of the ranks of a `group`, the first alone saves, shows and returns. All see the same sums of gradients and
    losses, so they skip, fail and stop in the same step.

    Args:
        parameters: what is trained, in float32.
        loss: of a batch, or of some rows of one, with a generator for what it draws.
        examples: the training set.
        settings: steps, batch size, learning rate, caption dropout.
        seed: of every draw.
        checkpoint: where the state is kept; removed by the caller once the result is safe.
        label: for the progress bar.
        watch: told each step (from 1) and its loss.
        micro: rows that are computed at once; None: all.
        survey: called before a batch that is computed in several parts, without gradient.

    Returns:
        the loss of each step (kind `losses`), and whether the step was `skipped`.

    Raises:
        Stopped: SIGTERM or Ctrl-C came; the state is saved.
        ValueError: a loss is not finite, more than `MOST_SKIPPED` of the steps are skipped, or a rank has no rows.
        ranks.Left: the training is done, and this is not the first rank.
    """
    team = group.here()
    _expect_rows(settings.batch_size, team, label)
    optimizer = make_optimizer(parameters, settings.learning_rate)
    losses, skipped = _restore(checkpoint, parameters, optimizer)
    progress = Progress(label, settings.steps, len(losses), every=50) if team.first else None
    with _stop_flag() as stopped, closing(progress) if progress else nullcontext():
        for step, batch, generator in batches(examples, settings, seed, len(losses)):
            for each in optimizer.param_groups:
                each["lr"] = learning_rate(settings, step)
            value = gradient(loss, batch, generator, parameters, team, micro, survey)
            if not math.isfinite(value):
                raise ValueError(f"{label}: the loss is {value} at step {step}; lower learning_rate")
            skipped.append(not update(parameters, optimizer))
            losses.append(value)
            if sum(skipped) > MOST_SKIPPED * settings.steps:
                raise ValueError(
                    f"{label}: gradients are not finite in {sum(skipped)} of {step + 1} steps; lower learning_rate, or "
                    "where model.dtype or mixed_precision is float16, write bfloat16 or float32"
                )
            if progress is not None:
                progress.update(f"loss {losses[-1]:.4f}")
            if watch is not None and team.first:
                watch(step + 1, losses[-1])
            stop = team.any(stopped(), parameters[0].device)
            if team.first and (stop or (step + 1) % settings.checkpoint_every == 0):
                checkpoint.save(_state(parameters, optimizer, losses, skipped))
            if stop:
                team.any(stop, parameters[0].device)  # the others end once the first has saved
                raise Stopped(f"{label}: stopped after step {step + 1}; run again to go on from there")
    if not team.first:
        raise ranks.Left
    return pd.DataFrame({"step": range(1, len(losses) + 1), "loss": losses, "skipped": skipped})


def _expect_rows(batch_size: int, team: group.Group, label: str) -> None:
    if batch_size < team.size:
        raise ValueError(
            f"{label}: batch_size is {batch_size}, compute.yaml: devices is {team.size}: each device needs a row of a "
            f"batch. Set devices to at most {batch_size}"
        )


def gradient(
    loss: Loss,
    batch: Examples,
    generator: torch.Generator,
    parameters: list[nn.Parameter],
    team: group.Group = group.ALONE,
    micro: int | None = None,
    survey: Survey | None = None,
) -> float:
    """Put the gradient of a batch's loss into the parameters' `grad`: the sum over its parts, weighted by their rows.

    Args:
        loss: of some rows of the batch.
        batch: the whole one.
        generator: each part draws with a copy of it.
        parameters: in float32.
        team: the ranks that share the batch out.
        micro: rows of a part, at most; None: all that a rank has.
        survey: as for `train`.

    Returns:
        the batch's loss.
    """
    clear(parameters)
    parts = _parts(batch, team.rows(len(batch)), micro)
    if survey is not None and micro is not None and micro < -(-len(batch) // team.size):  # somewhere there are several
        with torch.no_grad():
            survey(parts, generator)
    whole = torch.zeros((), device=parameters[0].device)
    for part in parts:
        value = loss(part, generator.clone_state()) * (len(part) / len(batch))
        (SCALE * value).backward()
        whole += value.detach()
    if team.size > 1:
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        team.add([whole, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
    unscale(parameters)
    return whole.item()


def _parts(batch: Examples, rows: range, micro: int | None) -> list[Examples]:
    """Cut some rows of a batch into parts of at most `micro`."""
    if len(rows) == len(batch) and (micro is None or micro >= len(batch)):
        return [batch]
    size = micro or len(rows)
    return [batch.cut(first, min(first + size, rows.stop)) for first in range(rows.start, rows.stop, size)]


def make_optimizer(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """AdamW without weight decay, which would pull an adapter back to the base."""
    return torch.optim.AdamW(parameters, rate, weight_decay=0.0)


def descend(loss: Tensor, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> bool:
    """One step down the gradient of a loss, its norm clipped to 1.

    Returns:
        whether it was made: not where a gradient is not finite.
    """
    backward(loss, parameters)
    return update(parameters, optimizer)


def update(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> bool:
    """A step down the parameters' `grad`, its norm clipped to 1. Returns whether it was made, as `descend`."""
    finite = bool(torch.isfinite(nn.utils.clip_grad_norm_(parameters, 1.0)))
    if finite:
        optimizer.step()
    return finite


def backward(loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """Put the gradient of a loss into the parameters' `grad`, computed as ``grad(SCALE loss) / SCALE``.

    The gradient of a mean over batch, channels, height and width is about 1e-6 an element for a batch of real models:
    on its way through layers in float16, whose least number is 6e-8, it would vanish (loss scaling, Micikevicius et
    al. 2018, arXiv 1710.03740, sec. 3.2). A constant keeps a run deterministic.

    Args:
        loss: in float32, since the product may exceed 65,504, float16's largest number.
        parameters: in float32.
    """
    clear(parameters)
    (SCALE * loss).backward()
    unscale(parameters)


def clear(parameters: list[nn.Parameter]) -> None:
    """Forget the gradient of the last step."""
    for parameter in parameters:
        parameter.grad = None


def unscale(parameters: list[nn.Parameter]) -> None:
    """Divide the gradient of a loss that was multiplied by `SCALE`."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad /= SCALE


WARMUP = 10  # steps of linear warm-up, enough for Adam's second moments to settle


def learning_rate(settings: Descent, step: int) -> float:
    """The rate of a step, counted from 0: a warm-up, then constant or falling linearly to zero at the end."""
    left = 1 - step / settings.steps if settings.lr_scheduler == "linear" else 1.0
    return settings.learning_rate * min(1.0, (step + 1) / WARMUP) * left


def _state(
    parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, losses: list[float], skipped: list[bool]
) -> dict[str, Any]:
    weights = [p.detach().cpu() for p in parameters]
    return {"weights": weights, "optimizer": optimizer.state_dict(), "losses": losses, "skipped": skipped}


def _restore(
    checkpoint: Checkpoint, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[list[float], list[bool]]:
    """Put the last state back in place. Returns the loss of each step done, and which steps were skipped."""
    state = checkpoint.load()
    if state is None:
        return [], []
    with torch.no_grad():
        for parameter, weight in zip(parameters, state["weights"], strict=True):
            parameter.copy_(weight)
    optimizer.load_state_dict(state["optimizer"])
    return list(state["losses"]), list(state["skipped"])
