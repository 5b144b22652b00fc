"""The training loop that every adapter and gate is trained by."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from versat2i.settings import params
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples, batches
from versat2i.work.progress import Progress
from versat2i.work.watch import Watch


def summary(losses: pd.DataFrame) -> dict[str, float]:
    """Steps, and the mean loss of the first and of the last tenth of them."""
    tenth = max(1, len(losses) // 10)
    first, last = losses["loss"].head(tenth).mean(), losses["loss"].tail(tenth).mean()
    return {"steps": len(losses), "first_loss": round(float(first), 6), "last_loss": round(float(last), 6)}


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
    loss: Callable[[Examples, torch.Generator], Tensor],
    examples: Examples,
    settings: params.Training,
    seed: int,
    checkpoint: Checkpoint,
    label: str,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """AdamW at the rate of `learning_rate`, with checkpoints.

    A run that is stopped goes on from its last checkpoint to the same weights: every draw is a
    function of (seed, step).

    Args:
        parameters: what is trained, in float32.
        loss: of a batch, with a generator for what it draws.
        examples: the training set.
        settings: steps, batch size, learning rate, caption dropout.
        seed: of every draw.
        checkpoint: where the state is kept; removed by the caller once the result is safe.
        label: for the progress bar.
        watch: told each step (from 1) and its loss.

    Returns:
        the loss of each step (kind `losses`).

    Raises:
        Stopped: SIGTERM or Ctrl-C came; the state is saved.
        ValueError: the loss, or a weight in the end, is not finite.
    """
    optimizer = make_optimizer(parameters, settings.learning_rate)
    losses = _restore(checkpoint, parameters, optimizer)
    progress = Progress(label, settings.steps, len(losses), every=50)
    with _stop_flag() as stopped, closing(progress):
        for step, batch, generator in batches(examples, settings, seed, len(losses)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, step)
            value = loss(batch, generator)
            if not torch.isfinite(value):
                raise ValueError(f"{label}: the loss is {value.item()} at step {step}; lower learning_rate")
            descend(value, parameters, optimizer)
            losses.append(value.item())
            progress.update(f"loss {losses[-1]:.4f}")
            if watch is not None:
                watch(step + 1, losses[-1])
            if stopped() or (step + 1) % settings.checkpoint_every == 0:
                checkpoint.save(_state(parameters, optimizer, losses))
            if stopped():
                raise Stopped(f"{label}: stopped after step {step + 1}; run again to go on from there")
    if not all(torch.isfinite(parameter).all() for parameter in parameters):
        raise ValueError(f"{label}: weights are not finite after step {settings.steps}; lower learning_rate")
    return pd.DataFrame({"step": range(1, len(losses) + 1), "loss": losses})


def make_optimizer(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """AdamW without weight decay, which would pull an adapter back to the base."""
    return torch.optim.AdamW(parameters, rate, weight_decay=0.0)


def descend(loss: Tensor, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """One step down the gradient of a loss, its norm clipped to 1."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


WARMUP = 10  # steps of linear warm-up, enough for Adam's second moments to settle


def learning_rate(settings: params.Training, step: int) -> float:
    """The rate of a step, counted from 0: a warm-up, then constant or falling linearly to zero at the end."""
    left = 1 - step / settings.steps if settings.lr_scheduler == "linear" else 1.0
    return settings.learning_rate * min(1.0, (step + 1) / WARMUP) * left


def _state(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, losses: list[float]) -> dict[str, Any]:
    weights = [p.detach().cpu() for p in parameters]
    return {"weights": weights, "optimizer": optimizer.state_dict(), "losses": losses}


def _restore(checkpoint: Checkpoint, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> list[float]:
    """Put the last state back in place. Returns the losses so far, one a step done."""
    state = checkpoint.load()
    if state is None:
        return []
    with torch.no_grad():
        for parameter, weight in zip(parameters, state["weights"], strict=True):
            parameter.copy_(weight)
    optimizer.load_state_dict(state["optimizer"])
    return list(state["losses"])
