"""Train a LoRA on selected images: an aspect's expert, or the joint LoRA of all."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from versat2i.adapters import lora
from versat2i.formats.shards import Candidate
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.seeds import stable_seed
from versat2i.select import chosen
from versat2i.settings.params import Model, Training, TrainLora
from versat2i.train import loop, losses
from versat2i.train.loop import Checkpoint, Examples
from versat2i.work import watch as tracking


def examples(model: Backbone, selected: list[Path], objective: str) -> Examples:
    """The union of selected sets as training examples; each prompt is embedded once.

    Latents are used as they were drawn: no round trip through the autoencoder blurs them.

    Args:
        model: embeds the prompts.
        selected: folders of selected images.
        objective: `contrast` puts each pick's rival beside it, leaves out the picks that have none, and weights each
            pair by its gap (`_weights`).
    """
    sets = [chosen.load(folder) for folder in selected]
    texts = pd.concat([picks["text"] for picks, _ in sets], ignore_index=True)
    codes, distinct = pd.factorize(texts)
    latents = _latents([candidate for _, candidates in sets for candidate in candidates])
    prompts, empty = model.embed(list(distinct))[torch.from_numpy(codes)], model.embed([""])
    model.denoiser.to(model.device)  # for the optimizer's state: with `cpu_offload` it waits elsewhere
    if objective == "sft":
        return Examples(latents, prompts, empty, torch.ones(len(latents)))
    rivals = _latents([rival for folder in selected for rival in chosen.load_rivals(folder)])
    gaps = [torch.from_numpy(picks["gap"].to_numpy(np.float32)) for picks, _ in sets]
    if not any(gap.any() for gap in gaps):
        raise ValueError(
            f"{', '.join(str(folder) for folder in selected)}: no pick has a worse candidate beside it, so there is no "
            "contrast to learn from. Draw more candidates, or use objective: sft"
        )
    weights = torch.cat([_weights(gap) for gap in gaps])
    worse = weights > 0
    return Examples(torch.stack([latents, rivals], dim=1)[worse], prompts[worse], empty, weights[worse])


def _weights(gaps: Tensor) -> Tensor:
    """Weights of an aspect's pairs: ``min(gap, median)`` over its mean, of the gaps above 0; 0 stays 0.

    Small gaps are mostly the evaluator's noise; beyond the median a gap is no better a teacher, and a few failed images
    would have most of the weight. Divided by the mean, aspects with scores of any unit count alike.
    """
    worse = gaps > 0
    if not worse.any():
        return gaps
    kept = gaps.clamp(max=gaps[worse].median())
    return kept / kept[worse].mean()


def _latents(candidates: list[Candidate]) -> Tensor:
    return torch.from_numpy(np.stack([candidate.latents for candidate in candidates]))


def objective(
    model: Backbone, settings: Training, without: Callable[[], AbstractContextManager[None]]
) -> Callable[[Examples, torch.Generator], Tensor]:
    """The loss of a batch that params ask for.

    Args:
        model: with the adapter or gate under training in place.
        settings: `objective` and what belongs to it.
        without: a context in which the model is its base.
    """

    def loss(batch: Examples, generator: torch.Generator) -> Tensor:
        latents, prompts = batch.latents, batch.prompts
        if settings.objective == "contrast":
            return losses.contrast_loss(model, latents, prompts, batch.weights, generator, without, settings.timesteps)
        return losses.diffusion_loss(model, latents, prompts, generator, settings.min_snr, settings.timesteps)

    return loss


def train_lora(
    settings: Model,
    selected: list[Path],
    lora_settings: TrainLora,
    seed: int,
    name: str,
    checkpoint: Checkpoint,
    device: str,
) -> tuple[lora.Adapter, pd.DataFrame]:
    """Train a LoRA on selected images with the loss that params ask for: `objective`.

    Args:
        settings: the base model.
        selected: folders of selected images; one for an expert, all for the joint LoRA.
        lora_settings: rank, alpha, targets, steps and the rest.
        seed: of the run; the adapter's name is mixed in.
        name: of the adapter.
        checkpoint: where the state is kept while training.
        device: to train on.

    Returns:
        the adapter and the loss of each step (kind `losses`).
    """
    model = diffusion.load(settings, device)
    seed = stable_seed(seed, "train_lora", name)
    data = examples(model, selected, lora_settings.objective)
    parameters = lora.attach(model.denoiser, name, lora_settings.rank, lora_settings.alpha, lora_settings.targets, seed)

    loss = objective(model, lora_settings, partial(lora.detached, model.denoiser))
    with tracking.watching(name, model, data) as watch:
        curve = loop.train(parameters, loss, data, lora_settings, seed, checkpoint, name, watch)
    metadata = {**model.identity, "adapter": name}
    return lora.extract(model.denoiser, name, lora_settings.alpha, metadata), curve
