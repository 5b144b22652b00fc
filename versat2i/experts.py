"""Train a LoRA on selected images: an aspect's expert, or the joint LoRA of all."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from versat2i import backbone, lora, picking, tracking, training
from versat2i.backbone import Backbone, Embeddings
from versat2i.params import Model, TrainLora
from versat2i.seeds import stable_seed
from versat2i.training import Checkpoint, Examples


def examples(model: Backbone, selected: list[Path]) -> Examples:
    """The union of selected sets as training examples; each prompt is embedded once.

    Latents are used as they were drawn: no round trip through the autoencoder blurs them.
    """
    sets = [picking.load(folder) for folder in selected]
    texts = pd.concat([picks["text"] for picks, _ in sets], ignore_index=True)
    codes, distinct = pd.factorize(texts)
    latents = torch.from_numpy(np.stack([candidate.latents for _, candidates in sets for candidate in candidates]))
    return Examples(latents, model.embed(list(distinct))[torch.from_numpy(codes)], model.embed([""]))


def train_lora(
    settings: Model,
    selected: list[Path],
    lora_settings: TrainLora,
    seed: int,
    name: str,
    checkpoint: Checkpoint,
    device: str,
) -> tuple[lora.Adapter, pd.DataFrame]:
    """Train a LoRA on selected images with the ordinary diffusion loss.

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
    model = backbone.load(settings, device)
    seed = stable_seed(seed, "train_lora", name)
    data = examples(model, selected)
    parameters = lora.attach(model.denoiser, name, lora_settings.rank, lora_settings.alpha, lora_settings.targets, seed)

    def loss(latents: Tensor, prompts: Embeddings, generator: torch.Generator) -> Tensor:
        return training.diffusion_loss(model, latents, prompts, generator, lora_settings.min_snr)

    with tracking.watching(name, model, data) as watch:
        losses = training.train(parameters, loss, data, lora_settings, seed, checkpoint, name, watch)
    metadata = {**model.identity, "adapter": name}
    return lora.extract(model.denoiser, name, lora_settings.alpha, metadata), losses
