"""Train a LoRA on selected images: an aspect's expert, or the joint LoRA of all."""

import logging
from functools import partial
from pathlib import Path

import pandas as pd

from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.seeds import stable_seed
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model
from versat2i.settings.training import TrainLora
from versat2i.train import examples, loop, losses, preview
from versat2i.train.checkpoint import Checkpoint
from versat2i.work import watch as tracking

logger = logging.getLogger(__name__)
FEW_STEPS = (
    "this model was distilled to draw in a few steps, which `objective: sft` may undo: "
    "`objective: contrast` trains on its own samples alone"
)


def train_lora(
    settings: Model,
    selected: list[Path],
    lora_settings: TrainLora,
    seed: int,
    name: str,
    checkpoint: Checkpoint,
    machine: Compute,
) -> tuple[lora.Adapter, pd.DataFrame]:
    """Train a LoRA on selected images with the loss that params ask for: `objective`.

    Args:
        settings: the base model.
        selected: folders of selected images; one for an expert, all for the joint LoRA.
        lora_settings: rank, alpha, targets, steps and the rest.
        seed: of the run; the adapter's name is mixed in.
        name: of the adapter.
        checkpoint: where the state is kept while training.
        machine: how and where to train.

    Returns:
        the adapter and the loss of each step (kind `losses`).
    """
    model = diffusion.load(settings, machine)
    if lora_settings.objective == "sft" and model.distilled:
        logger.warning(FEW_STEPS)
    seed = stable_seed(seed, "train_lora", name)
    data = examples.of(model, selected, lora_settings.objective)
    parameters = lora.attach(model.denoiser, name, lora_settings.rank, lora_settings.alpha, lora_settings.targets, seed)

    loss = losses.objective(model, lora_settings, partial(lora.detached, model.denoiser))
    with tracking.watching(name, machine, partial(preview.samples, model, data)) as watch:
        curve = loop.train(parameters, loss, data, lora_settings, seed, checkpoint, name, watch, machine.micro_batch)
    metadata = {**model.origin, "adapter": name}
    return lora.extract(model.denoiser, name, lora_settings.alpha, metadata), curve
