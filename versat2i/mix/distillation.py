"""Teach one ordinary LoRA, on its own samples, the sum of what the experts change.

    v* = v_base + sum_k w_k (v_k - v_base),      L = mean |v - v*|^2

v is the prediction with the LoRA, v_base without, v_k with expert k in its place. Every prompt wants all experts: the
target is their weighted sum, not a teacher a prompt, whose mean over prompts is the uniform merge. The LoRA starts at
``sum_k w_k s_k B_k A_k``; what is left to learn is where the model is not linear in its weights. It learns from states
of its own trajectories, one of each (on-policy distillation; this recipe: DanceOPD, arXiv 2606.27377).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from versat2i.adapters import lora, merges
from versat2i.adapters.lora import Adapter
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone, Embeddings
from versat2i.seeds import stable_seed
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model
from versat2i.settings.training import Distilled
from versat2i.train import examples, loop, preview
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples
from versat2i.work import watch as tracking

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""What a denoiser is called with: a state of a trajectory with its timestep and text, in the family's own form."""


def distil(
    settings: Model,
    experts: list[Adapter],
    selected: list[Path],
    rule: Distilled,
    seed: int,
    checkpoint: Checkpoint,
    machine: Compute,
    name: str,
) -> tuple[Adapter, pd.DataFrame]:
    """Train a LoRA to predict the weighted sum of the experts' changes.

    Args:
        settings: the base model.
        experts: the teachers.
        selected: folders of selected images, of which the prompts are used, and the size of the images.
        rule: weights, rank, where on a trajectory to learn, steps and the rest.
        seed: of the run; the adapter's name is mixed in.
        checkpoint: where the state is kept while training.
        machine: how and where to train.
        name: of the adapter.

    Returns:
        the adapter and the loss of each step (kind `losses`).
    """
    model = diffusion.load(settings, machine)
    seed = stable_seed(seed, "distil", name)
    data = examples.of(model, selected, "sft")
    parameters = _start(model.denoiser, experts, rule, name)
    weights = {expert.name: rule.weights[expert.name] for expert in experts}
    drawing = Drawing(rule.draw_steps, rule.guidance_scale, model.pixels(data.latents.shape))
    calls = count_calls(model, data.prompts[:1], data.empty, drawing)

    def loss(batch: Examples, generator: torch.Generator) -> Tensor:
        seeds = batch.rows.of(torch.randint(2**62, (batch.rows.whole,), generator=generator)).tolist()
        share = np.random.default_rng(int(torch.randint(2**62, (), generator=generator))).beta(*rule.states)
        call = state(model, batch.prompts, batch.empty, seeds, drawing, min(int(share * calls), calls - 1))
        target = summed(model, call, weights, name)
        return F.mse_loss(predicted(model, call), target)

    with tracking.watching(name, machine, partial(preview.samples, model, data)) as watch:
        curve = loop.train(parameters, loss, data, rule, seed, checkpoint, name, watch, machine.micro_batch)
    adapter = lora.extract(model.denoiser, name, _alpha(experts, rule), {**model.origin, "adapter": name})
    return adapter, curve


def _start(denoiser: nn.Module, experts: list[Adapter], rule: Distilled, name: str) -> list[nn.Parameter]:
    """Put the experts and the student, at their weighted sum, into the denoiser. Returns the student's parameters."""
    for expert in experts:
        lora.insert(denoiser, expert)
    start = merges.weighted(experts, rule.weights, name)
    return lora.insert(denoiser, start if rule.rank is None else merges.truncated(start, rule.rank))


def _alpha(experts: list[Adapter], rule: Distilled) -> float:
    """The rank: the student's scale is 1."""
    return float(rule.rank or sum(expert.rank for expert in experts))


class _Reached(Exception):
    """The call that a drawing was made for."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


@dataclass(frozen=True)
class Drawing:
    """How images are drawn: steps, guidance, and the side in pixels, None for the model's own."""

    steps: int
    guidance_scale: float
    size: int | None


def drawn(
    model: Backbone,
    prompts: Embeddings,
    empty: Embeddings,
    seeds: list[int],
    drawing: Drawing,
    each: Callable[[Call], None],
) -> None:
    """Draw images and hand on what the denoiser is called with, each time before it is.

    Args:
        model: draws.
        prompts: one a seed.
        empty: of the empty prompt, one row.
        seeds: one an image.
        drawing: steps, guidance, size.
        each: told each call.
    """

    @torch.compiler.disable
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        each((args, kwargs))

    handle = model.denoiser.register_forward_pre_hook(hook, with_kwargs=True, prepend=True)
    try:
        model.draw(prompts, empty, seeds, drawing.steps, drawing.guidance_scale, drawing.size)
    finally:
        handle.remove()


def count_calls(model: Backbone, prompts: Embeddings, empty: Embeddings, drawing: Drawing) -> int:
    """How often the denoiser is called for an image; some families and samplers call it more than once a step."""
    calls: list[None] = []
    drawn(model, prompts, empty, [0], drawing, lambda call: calls.append(None))
    return len(calls)


def state(
    model: Backbone, prompts: Embeddings, empty: Embeddings, seeds: list[int], drawing: Drawing, number: int
) -> Call:
    """What the denoiser is called with for the n-th time, from 0, while the model draws; it draws no further.

    Args:
        model: with the LoRA under training in place.
        prompts: one a seed.
        empty: of the empty prompt, one row.
        seeds: one an image.
        drawing: steps, guidance, size.
        number: of the call.
    """
    left = [number]

    def stop(call: Call) -> None:
        if not left[0]:
            raise _Reached(call)
        left[0] -= 1

    try:
        drawn(model, prompts, empty, seeds, drawing, stop)
    except _Reached as reached:
        return reached.call
    raise ValueError(f"the sampler calls the denoiser no {number + 1} times in {drawing.steps} steps")


def predicted(model: Backbone, call: Call) -> Tensor:
    """The denoiser's output, in float32."""
    args, kwargs = call
    with model.running(None):
        found = model.denoiser(*args, **kwargs)[0]
    return (torch.stack(list(found)) if isinstance(found, list | tuple) else found).float()


@torch.no_grad()
def changes(model: Backbone, call: Call, experts: list[str], active: str) -> tuple[Tensor, list[Tensor]]:
    """Base's prediction, and what each expert alone changes of it.

    Args:
        model: with these experts in its denoiser.
        call: what to predict from.
        experts: their names.
        active: the LoRA that is in place before and after.
    """
    denoiser: Any = model.denoiser
    with lora.detached(denoiser):
        base = predicted(model, call)
    found = []
    try:
        for expert in experts:
            denoiser.set_adapter(expert)
            found.append(predicted(model, call) - base)
    finally:
        denoiser.set_adapter(active)
    return base, found


def summed(model: Backbone, call: Call, weights: dict[str, float], active: str) -> Tensor:
    """``v_base + sum_k w_k (v_k - v_base)``, as `changes`; an expert of weight 0 is not asked."""
    asked = {name: weight for name, weight in weights.items() if weight}
    base, found = changes(model, call, list(asked), active)
    return base + sum(weight * change for weight, change in zip(asked.values(), found, strict=True))
