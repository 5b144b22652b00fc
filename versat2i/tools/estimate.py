"""Estimate a run from the model's configs alone: no weights, no GPU.

The model is built on torch's meta device, where tensors have shapes and no content. Each kind of work of the plan is
counted there: floating-point operations, and the most memory that tensors take at once. Hours are the operations over a
device's rate times an assumed utilisation.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft.utils import get_peft_model_state_dict
from torch import nn

from versat2i.adapters import lora, mixture
from versat2i.models.diffusion import Backbone, lora_files, quantized, skeleton
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, Sampling
from versat2i.settings.training import Gates, Training, TrainLora
from versat2i.tools import plan
from versat2i.tools.counting import Counted, counted
from versat2i.tools.devices import DEVICES

UTILISATION = 0.4  # of a device's rate, assumed: what large transformers are known to reach in training and drawing
BYTES_A_PIXEL = 1.6  # of a PNG of a photograph, assumed
OF_ADAM = 8  # bytes a trained number: two moments in float32


@dataclass
class Estimated(plan.Disk):
    """What each kind of work takes.

    Attributes:
        parameters: of each network, their number and their bytes.
        flops: of one unit, by kind.
        memory: most bytes at once, by kind.
    """

    parameters: dict[str, tuple[int, int]] = field(default_factory=dict)
    flops: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def estimate(settings: Params, machine: Compute, configs: Path | None = None) -> Estimated:
    """Count each kind of work of a plan once.

    Args:
        settings: params.
        machine: says what saves memory.
        configs: see `skeleton.load`.

    Raises:
        ValueError: a config is missing.
    """
    as_it_is = machine.model_copy(update={"compile": False, "attention": "auto"})
    model = skeleton.load(settings.model, as_it_is, configs)
    found = Estimated(passes=model.passes, parameters={name: _size(part) for name, part in _parts(model)})
    if settings.model.quantize is not None:
        number, _ = found.parameters[model.denoiser_name]
        found.parameters[model.denoiser_name] = number, quantized.size(model.denoiser)
    for sampling, per_prompt in (
        (settings.generate, settings.generate.per_prompt),
        (settings.evaluate, settings.evaluate.per_prompt),
    ):
        kind = plan.drawing(sampling)
        if kind not in found.flops:
            found.flops[kind], peak = _drawing(model, sampling, per_prompt, machine)
            found.memory[kind] = _resident(found, machine) + peak
            found.image_bytes[kind] = image_bytes(model, sampling.size)
    _train(found, settings, model, _resident(found, machine, model.denoiser_name))
    return found


def _parts(model: Backbone) -> Iterator[tuple[str, nn.Module]]:
    return ((name, part) for name, part in model.pipe.components.items() if isinstance(part, nn.Module))


def _size(part: nn.Module) -> tuple[int, int]:
    return sum(p.numel() for p in part.parameters()), sum(p.nbytes for p in part.parameters())


def _resident(found: Estimated, machine: Compute, part: str | None = None) -> int:
    """Bytes of the weights on the device; with `cpu_offload` those of the part that computes, or of the largest."""
    sizes = {name: size for name, (_, size) in found.parameters.items()}
    if not machine.cpu_offload:
        return sum(sizes.values())
    return max(sizes.values()) if part is None else sizes[part]


def image_bytes(model: Backbone, size: int | None) -> float:
    """Of a candidate: its PNG and its latents."""
    latents = torch.empty(model.latent_shape(size), dtype=_stored(model), device=skeleton.META)
    return BYTES_A_PIXEL * model.pixels(latents.shape) ** 2 + latents.nbytes


def _stored(model: Backbone) -> torch.dtype:
    """Of latents in a shard: numpy has no bfloat16."""
    dtype: torch.dtype = model.denoiser.dtype
    return torch.float32 if dtype == torch.bfloat16 else dtype


@torch.no_grad()
def _drawing(model: Backbone, sampling: Sampling, per_prompt: int, machine: Compute) -> tuple[float, float]:
    """Operations for one image, its share of its prompt's embedding among them, and most bytes beside the weights."""
    amount, guided = sampling.batch_size, sampling.guidance_scale > 1
    passes = model.passes if guided else 1
    together = amount * (passes if model.in_one_call else 1)
    once = counted(lambda: skeleton.predict(model, together, sampling.size))
    decoded = 1 if machine.vae_slicing else amount
    decoding = counted(lambda: skeleton.decode(model, decoded, sampling.size))
    reading = counted(lambda: skeleton.encode(model))
    flops = sampling.steps * passes * once.flops / together + decoding.flops / decoded + reading.flops / per_prompt
    return flops, max(once.peak, decoding.peak)


def _train(found: Estimated, settings: Params, model: Backbone, weights: int) -> None:
    """Count a step of each expert and of each mixture."""
    adapters, size = [], settings.generate.size
    known: dict[tuple[object, ...], tuple[Counted, int, lora.Adapter]] = {}
    for aspect in settings.aspects:
        rule = settings.train_lora[aspect]
        shape = (rule.objective, rule.batch_size, rule.rank, rule.targets)
        if shape not in known:
            known[shape] = _lora_step(model, rule, size)
        step, trained, adapter = known[shape]
        kind = plan.training(aspect)
        found.flops[kind], found.memory[kind] = step.flops, weights + trained * (4 + OF_ADAM) + step.peak
        found.adapter_bytes.append(4 * trained)
        adapters.append(lora_files.Adapter(aspect, adapter.down, adapter.up, rule.alpha))
    for variant, gates in settings.mix.items():
        if isinstance(gates, Gates):
            mixed = mixture.attach(model.denoiser, adapters, gates.scope, training=True)
            step = _step(model, gates, size, mixed.silenced, mixed.balance_loss)
            trained = sum(p.numel() for p in mixed.parameters())
            experts = sum(buffer.nbytes for layer in mixed.layers.values() for buffer in layer.buffers(recurse=False))
            kind = plan.mixing(variant)
            found.flops[kind] = step.flops
            found.memory[kind] = weights + experts + trained * (4 + OF_ADAM) + step.peak
            mixed.detach()


def _lora_step(model: Backbone, rule: TrainLora, size: int | None) -> tuple[Counted, int, lora.Adapter]:
    """A step of a new LoRA, how many numbers are trained, and the LoRA."""
    parameters = lora.attach(model.denoiser, "counted", rule.rank, rule.alpha, rule.targets, 0)
    step = _step(model, rule, size, lambda: lora.detached(model.denoiser))
    state = get_peft_model_state_dict(model.denoiser, adapter_name="counted")
    model.denoiser.unload_lora()
    return step, sum(p.numel() for p in parameters), lora_files.from_state("counted", state, rule.alpha, {})


def _step(
    model: Backbone,
    rule: Training,
    size: int | None,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    more: Callable[[], torch.Tensor] | None = None,
) -> Counted:
    """A step as `train.losses` makes it: with `contrast` pick and rival, seen by the base too.

    The operations are those of the whole batch, the bytes those of the rows that a device takes at once.
    """
    contrast = rule.objective == "contrast"
    own = -(-rule.batch_size // model.machine.devices)
    rows = min(own, model.machine.micro_batch or own)
    amount = rows * (2 if contrast else 1)

    def step() -> None:
        base: torch.Tensor | float = 0.0
        if contrast:
            with torch.no_grad(), alone():
                base = skeleton.predict(model, amount, size).float()
        errors = (skeleton.predict(model, amount, size).float() - base).square().mean()
        torch.autograd.backward(errors if more is None else errors + more())

    once = counted(step)
    return Counted(once.flops * (rule.batch_size / rows), once.peak)


def report(
    settings: Params,
    machine: Compute,
    prompts: dict[str, int],
    configs: Path | None = None,
    utilisation: float = UTILISATION,
) -> list[str]:
    """The estimate as lines of text, for each of `DEVICES`.

    Args:
        settings: params.
        machine: says what saves memory.
        prompts: how many there are in each split.
        configs: see `skeleton.load`.
        utilisation: of a device's rate, assumed.
    """
    found = estimate(settings, machine, configs)
    listed = plan.work(settings, prompts, found.passes)
    dtype = settings.model.mixed_precision or settings.model.dtype
    name = settings.model.name if configs is None else f"{settings.model.name}, configs from {configs}"
    return [
        f"Estimated, not measured, from the configs of {name}.",
        "Operations are counted on tensors without content, for prompts of full length.",
        f"Assumed: {utilisation:.0%} of a device's dense rate in {dtype}, {BYTES_A_PIXEL} bytes a pixel of PNG.",
        "Evaluators are not in it: `versat2i plan` times them and all else where the weights are.",
        "",
        *_weights(found),
        "",
        *_hours(listed, found, dtype, utilisation),
        "",
        *plan.disk(plan.gigabytes(settings, listed, found)),
        "",
        *_memory(listed, found),
    ]


def _weights(found: Estimated) -> list[str]:
    lines = [f"{'network':<20} {'parameters':>16} {'GB':>9}"]
    return lines + [f"{name:<20} {number:>16,} {size / 1e9:>9.3f}" for name, (number, size) in found.parameters.items()]


def _hours(listed: list[plan.Work], found: Estimated, dtype: str, utilisation: float) -> list[str]:
    heads = "".join(f"{device.name:>11}" for device in DEVICES)
    lines = [f"{'hours of':<24} {'work':<22} {'amount':>10}        {'TFLOP each':>11}{heads}"]
    total = [0.0] * len(DEVICES)
    for w in listed:
        if w.kind not in found.flops:
            continue
        each = found.flops[w.kind] * w.factor / 1e12
        hours = [w.amount * each / (device.rate(dtype) * utilisation) / 3600 for device in DEVICES]
        total = [a + b for a, b in zip(total, hours, strict=True)]
        columns = _columns(hours)
        lines.append(f"{w.stage:<24} {w.kind:<22} {w.amount:>10,} {w.unit + 's':<7}{each:>11.3f}{columns}")
    return [*lines, f"{'all but scoring':<77}{_columns(total)}"]


def _columns(hours: list[float]) -> str:
    return "".join(f"{f'{hour:.2f}' if hour >= 0.01 else '< 0.01':>11}" for hour in hours)


def _memory(listed: list[plan.Work], found: Estimated) -> list[str]:
    """Most GB at once of each kind, and the devices that hold them; each line once."""
    lines = []
    for kind in dict.fromkeys(w.kind for w in listed if w.kind in found.memory):
        peak = found.memory[kind] / 1e9
        enough = [device.name for device in DEVICES if device.memory >= peak]
        lines.append(f"{kind:<24} {peak:>10.3f} GB at once: {_named(enough)}")
    return lines


def _named(devices: list[str]) -> str:
    return f"fits {', '.join(devices)}" if devices else f"fits none of {', '.join(d.name for d in DEVICES)}"
