"""Rounds made by hand: LoRAs of a tiny model, each for the base with those before it."""

import dataclasses
from pathlib import Path

import tiny

from versat2i.models import diffusion
from versat2i.models.diffusion import lora_files
from versat2i.settings.params import Model


def make(model: Model, folder: Path, name: str, rank: int = 2, alpha: float = 0.2) -> Model:
    """Write a random LoRA for a base as one more round of it; the base with that round in it."""
    loaded = diffusion.load(model)
    adapter = tiny.adapter(loaded.denoiser, name, rank, alpha)
    lora_files.write(dataclasses.replace(adapter, metadata={**loaded.origin, "adapter": name}), folder)
    return model.model_copy(update={"start": (*model.start, str(folder))})
