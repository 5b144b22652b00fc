"""Time one batch of each kind of work on this machine: seconds, and on a GPU its memory."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from versat2i.adapters import lora, mixture
from versat2i.mix.gates import Balanced
from versat2i.models.diffusion import Backbone, Embeddings
from versat2i.settings.params import Sampling
from versat2i.settings.training import Gates, Training, TrainLora
from versat2i.train import loop, losses
from versat2i.train.examples import Examples

WARM = 1  # calls before the clock runs: kernels are chosen and compiled, caches filled

Step = Callable[[], Any]


@dataclass(frozen=True)
class Cost:
    """Cost of one call.

    Attributes:
        seconds: the median of the calls.
        memory: most bytes of the GPU that tensors took at once; None without a GPU.
        result: what the last call returned.
    """

    seconds: float
    memory: int | None
    result: Any


def timed(step: Step, device: torch.device, calls: int = 1) -> Cost:
    """The cost of a call, once it is warm."""
    for _ in range(WARM):
        step()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        result = step()
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return Cost(statistics.median(seconds), torch.cuda.max_memory_allocated(device) if on_gpu else None, result)


def drawing(model: Backbone, prompts: Embeddings, empty: Embeddings, sampling: Sampling) -> Step:
    """Draws and decodes an image of each prompt."""
    seeds = list(range(len(prompts.hidden)))
    return lambda: model.decode(
        model.draw(prompts, empty, seeds, sampling.steps, sampling.guidance_scale, sampling.size)
    )


def _training(
    model: Backbone,
    parameters: list[nn.Parameter],
    loss: loop.Loss,
    batch: Examples,
    learning_rate: float,
    survey: loop.Survey | None = None,
) -> Step:
    """One step as `loop.train` makes it on one device, in micro-batches where compute.yaml says so."""
    optimizer, micro = loop.make_optimizer(parameters, learning_rate), model.machine.micro_batch

    def step() -> float:
        generator = torch.Generator().manual_seed(0)
        value = loop.gradient(loss, batch, generator, parameters, micro=micro, survey=survey)
        loop.update(parameters, optimizer)
        return value

    return step


def latents(model: Backbone, rule: Training, size: int | None = None) -> torch.Tensor:
    """Noise of the shape of a batch of picks, or of picks beside their rivals, of images of this side."""
    shape = model.latent_shape(size)
    pair = (2,) if rule.objective == "contrast" else ()
    return torch.randn(rule.batch_size, *pair, *shape, generator=torch.Generator().manual_seed(0))


def _examples(model: Backbone, prompts: Embeddings, rule: Training, size: int | None) -> Examples:
    """The rows of a batch that one of compute.yaml's `devices` has."""
    rows = slice(-(-rule.batch_size // model.machine.devices))
    return Examples(latents(model, rule, size)[rows], prompts[rows], prompts[:1], torch.ones(rule.batch_size)[rows])


def lora_step(model: Backbone, prompts: Embeddings, rule: TrainLora, size: int | None = None) -> Step:
    """One training step of a new LoRA, which stays in the model: an expert's."""
    parameters = lora.attach(model.denoiser, "measured", rule.rank, rule.alpha, rule.targets, 0)
    fit = losses.objective(model, rule, lambda: lora.detached(model.denoiser))
    return _training(model, parameters, fit, _examples(model, prompts, rule, size), rule.learning_rate)


def untrained(model: Backbone, rules: dict[str, TrainLora]) -> list[lora.Adapter]:
    """An adapter of each rule's shape, which changes nothing yet; none stays in the model."""
    made = []
    for name, rule in rules.items():
        lora.attach(model.denoiser, name, rule.rank, rule.alpha, rule.targets, 0)
        made.append(lora.extract(model.denoiser, name, rule.alpha, model.identity))
        model.denoiser.unload_lora()
    return made


def mixed(model: Backbone, adapters: list[lora.Adapter], rule: Gates) -> mixture.Mixture:
    """A mixture of adapters, in place."""
    return mixture.attach(model.denoiser, adapters, rule.scope, training=True)


def mix_step(
    model: Backbone, prompts: Embeddings, found: mixture.Mixture, rule: Gates, size: int | None = None
) -> Step:
    """One training step of a mixture's gates."""
    loss = Balanced(losses.objective(model, rule, found.silenced), found, rule.balance)
    batch = _examples(model, prompts, rule, size)
    return _training(model, found.parameters(), loss, batch, rule.learning_rate, loss.survey)
