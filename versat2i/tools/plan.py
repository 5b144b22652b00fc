"""Estimate a run before it is paid for: images, hours and gigabytes, from one timed batch of each kind of work."""

from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

import numpy as np
import pandas as pd
import torch

from versat2i import rewards
from versat2i.adapters.lora import Adapter
from versat2i.evaluate import score
from versat2i.formats.shards import encoded
from versat2i.mix.unions import joint_settings
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.prompts import sources
from versat2i.rewards.common import scoring
from versat2i.settings.compute import Compute
from versat2i.settings.params import Params, Reward, Sampling
from versat2i.settings.training import Distilled, Gates, Joint
from versat2i.tools import measure as measuring

COPIES = 2  # of what a stage writes: DVC's cache or its folder, and the work store


@dataclass(frozen=True)
class Work:
    """A stage's work of one kind.

    Attributes:
        stage: as dvc.yaml names it.
        amount: how many units.
        unit: an image, or a step.
        kind: which of the measured costs it has.
        factor: that cost's share, where the stage draws with other settings than the measured ones.
    """

    stage: str
    amount: int
    unit: str
    kind: str
    factor: float = 1.0


@dataclass
class Disk:
    """What is written, and how often a step of drawing calls the denoiser.

    Attributes:
        image_bytes: of one candidate in a shard, by kind of drawing.
        adapter_bytes: of each expert.
        passes: through the denoiser, of a step with guidance.
    """

    image_bytes: dict[str, float] = field(default_factory=dict)
    adapter_bytes: list[int] = field(default_factory=list)
    passes: int = 2


@dataclass
class Measured(Disk):
    """Costs of one batch of each kind of work.

    Attributes:
        seconds: of one unit, by kind.
        memory: most bytes on the GPU, by kind; None without a GPU.
        model_bytes: of the base model's weights in memory.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int | None] = field(default_factory=dict)
    model_bytes: int = 0

    def note(self, kind: str, cost: measuring.Cost, units: int = 1) -> None:
        self.seconds[kind], self.memory[kind] = cost.seconds / units, cost.memory


Tables = dict[str, tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]]


def _kind(aspect: str, evaluator: Reward) -> str:
    return f"{aspect} {evaluator.evaluator}"


def drawing(sampling: Sampling) -> str:
    """The kind of work that drawing is: another size is another cost."""
    return "draw" if sampling.size is None else f"draw {sampling.size} px"


def training(aspect: str) -> str:
    """The kind of work that a step of an expert is."""
    return f"lora {aspect}"


def mixing(variant: str) -> str:
    """The kind of work that a step of a mixture's gates is."""
    return f"gates {variant}"


def work(settings: Params, prompts: dict[str, int], passes: int = 2) -> list[Work]:
    """All that the stages will do.

    Args:
        settings: params.
        prompts: how many there are in each split.
        passes: through the denoiser, of a step with guidance.
    """
    draw, test = settings.generate, settings.evaluate
    pool = prompts["train"] * draw.per_prompt
    shown = prompts[test.split] * test.per_prompt * len(test.variants)
    share = _passes(test, passes) / _passes(draw, passes) if drawing(test) == drawing(draw) else 1.0
    listed = [Work("generate", pool, "image", drawing(draw))]
    listed += [Work(f"score@{aspect}", pool, "image", _kind(aspect, e)) for aspect, e in score.of_aspects(settings)]
    listed += [Work(f"train_lora@{a}", settings.train_lora[a].steps, "step", training(a)) for a in settings.aspects]
    for variant, rule in settings.mix.items():
        if isinstance(rule, Gates):
            listed.append(Work(f"mix@{variant}", rule.steps, "step", mixing(variant)))
        elif isinstance(rule, Joint):
            listed.append(Work(f"mix@{variant}", joint_settings(settings).steps, "step", training(settings.aspects[0])))
        elif isinstance(rule, Distilled):
            listed += _distilling(f"mix@{variant}", rule, settings, passes)
    listed.append(Work("evaluate", shown, "image", drawing(test), share))
    everyone = score.of_aspects(settings) + score.of_judges(settings)
    return [*listed, *(Work("evaluate", shown, "image", _kind(aspect, e)) for aspect, e in everyone)]


def _distilling(stage: str, rule: Distilled, settings: Params, passes: int) -> list[Work]:
    """Draw to the state of a step, ask base and experts there, train: the mean of Beta(a, b) is ``a / (a + b)``."""
    towards, away = rule.states
    drawn = rule.draw_steps * (passes if rule.guidance_scale > 1 else 1) * towards / (towards + away)
    factor = (drawn + 1 + len(settings.aspects)) / _passes(settings.generate, passes)
    return [
        Work(stage, rule.steps * rule.batch_size, "image", drawing(settings.generate), factor),
        Work(stage, rule.steps, "step", training(settings.aspects[0])),
    ]


def _passes(sampling: Sampling, guided: int) -> int:
    """Passes through the denoiser for one image, of so many a step with guidance."""
    return sampling.steps * (guided if sampling.guidance_scale > 1 else 1)


def gigabytes(settings: Params, listed: list[Work], found: Disk) -> dict[str, float]:
    """Disk space of the run by kind, in 10^9 bytes, copies included."""
    images = {stage: next(w.amount for w in listed if w.stage == stage) for stage in ("generate", "evaluate")}
    picks = sum(settings.select[aspect].per_prompt for aspect in settings.aspects)
    selected = images["generate"] / settings.generate.per_prompt * picks
    unions = len(settings.mix) * sum(found.adapter_bytes)  # each holds all experts' ranks
    candidate, shown = (found.image_bytes[drawing(s)] for s in (settings.generate, settings.evaluate))
    sizes = {
        "candidates": images["generate"] * candidate,
        "selected, at most": 2 * selected * candidate,  # beside each pick its rival
        "evaluation": images["evaluate"] * shown,
        "adapters": sum(found.adapter_bytes) + unions,
    }
    return {name: COPIES * size / 1e9 for name, size in sizes.items()}


def measure(settings: Params, tables: Tables, machine: Compute) -> Measured:
    """Time one batch of each kind of work with the model and the evaluators of params.

    Args:
        settings: params.
        tables: of each split, from `sources.collect`.
        machine: to compute on.

    Raises:
        ValueError: the model or an evaluator cannot be loaded.
    """
    found = Measured()
    model = diffusion.load(settings.model, machine)
    found.model_bytes = sum(p.numel() * p.element_size() for part in model.parts for p in part.parameters())
    prompts, questions, _ = tables["train"]
    drawn_at_once = (settings.generate.batch_size, settings.evaluate.batch_size)
    size = max(*drawn_at_once, *(rule.batch_size for rule in settings.train_lora.values()))
    texts = list(islice(chain.from_iterable([prompts["text"]] * size), size))
    embedded, empty = model.embed(texts), model.embed([""])
    batch = settings.generate.batch_size
    found.passes = model.passes
    drawn = {}
    for sampling in (settings.generate, settings.evaluate):
        if (kind := drawing(sampling)) not in drawn:
            draw = measuring.drawing(model, embedded[: sampling.batch_size], empty, sampling)
            cost = measuring.timed(draw, model.device)
            found.note(kind, cost, sampling.batch_size)
            drawn[kind] = cost.result
            latent = torch.empty(model.latent_shape(sampling.size), dtype=model.denoiser.dtype)
            found.image_bytes[kind] = float(np.mean([len(encoded(image)) for image in drawn[kind]])) + latent.nbytes
    images = drawn[drawing(settings.generate)]
    known = list(scoring.prompts_of(dict(zip(prompts["prompt_id"], prompts["text"], strict=True)), questions).values())
    asked = list(islice(chain.from_iterable([known] * batch), batch))
    for aspect, evaluator in score.of_aspects(settings) + score.of_judges(settings):
        reward = rewards.from_params(aspect, evaluator, machine)
        cost = measuring.timed(partial(rewards.judged, reward, images, asked), model.device)
        found.note(_kind(aspect, evaluator), cost, batch)
    _measure_training(found, settings, model, embedded)
    return found


def _measure_training(found: Measured, settings: Params, model: Backbone, embedded: diffusion.Embeddings) -> None:
    rules = {aspect: settings.train_lora[aspect] for aspect in settings.aspects}
    for aspect, rule in rules.items():
        step = measuring.lora_step(model, embedded[: rule.batch_size], rule, settings.generate.size)
        found.note(training(aspect), measuring.timed(step, model.device))
        model.denoiser.unload_lora()
    adapters = measuring.untrained(model, rules)
    found.adapter_bytes = [_bytes(adapter) for adapter in adapters]
    for variant, gates in settings.mix.items():
        if isinstance(gates, Gates):
            rows = torch.arange(gates.batch_size) % len(embedded.hidden)
            mixed = measuring.mixed(model, adapters, gates)
            step = measuring.mix_step(model, embedded[rows], mixed, gates, settings.generate.size)
            found.note(mixing(variant), measuring.timed(step, model.device))
            mixed.detach()


def _bytes(adapter: Adapter) -> int:
    return sum(tensor.nbytes for tensor in (*adapter.down.values(), *adapter.up.values()))


def amounts(settings: Params) -> tuple[Tables, dict[str, int]]:
    """The prompts of params, and how many there are in each split."""
    tables = sources.collect(settings.prompts)
    return tables, {split: len(prompts) for split, (prompts, _, _) in tables.items()}


def report(settings: Params, machine: Compute, timed: bool) -> list[str]:
    """The plan as lines of text.

    Args:
        settings: params.
        machine: to time on.
        timed: False: amounts only, nothing is loaded.
    """
    tables, prompts = amounts(settings)
    if not timed:
        listed = work(settings, prompts)
        return [f"{w.stage:<24} {w.kind:<28} {w.amount:>10,} {w.unit}s" for w in listed]
    found = measure(settings, tables, machine)
    listed = work(settings, prompts, found.passes)
    return [*_hours(listed, found), "", *disk(gigabytes(settings, listed, found)), "", *_memory(found)]


def _hours(listed: list[Work], found: Measured) -> list[str]:
    lines, total = [f"{'stage':<24} {'work':<28} {'amount':>10}         {'each':>10} {'hours':>9}"], 0.0
    for w in listed:
        each = found.seconds[w.kind] * w.factor
        hours = w.amount * each / 3600
        total += hours
        lines.append(f"{w.stage:<24} {w.kind:<28} {w.amount:>10,} {w.unit + 's':<7} {each:>8.3f} s {hours:>9.2f}")
    return [*lines, f"{'all, on one device like this':<84} {total:>9.2f}"]


def disk(sizes: dict[str, float]) -> list[str]:
    """Sizes and their sum as lines of text."""
    return [f"{name:<24} {size:>10.3f} GB on disk" for name, size in (sizes | {"all": sum(sizes.values())}).items()]


def _memory(found: Measured) -> list[str]:
    lines = [f"{'weights of the model':<24} {found.model_bytes / 1e9:>10.3f} GB in memory"]
    peaks = {kind: memory for kind, memory in found.memory.items() if memory is not None}
    if peaks:
        worst = max(peaks, key=lambda kind: peaks[kind])
        lines.append(f"{'GPU memory, at most':<24} {peaks[worst] / 1e9:>10.3f} GB, by {worst}")
    return lines
