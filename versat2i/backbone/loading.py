"""Load the base model of params, or say in one line why that cannot be done."""

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from versat2i import work
from versat2i.backbone.base import Backbone
from versat2i.backbone.sd3 import StableDiffusion3
from versat2i.backbone.sdxl import StableDiffusionXL
from versat2i.backbone.stable_diffusion import StableDiffusion
from versat2i.params import Model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FAMILIES: tuple[type[Backbone], ...] = (StableDiffusion, StableDiffusionXL, StableDiffusion3)
LIBRARIES = ("diffusers", "transformers", "stable_diffusion")  # the last: safety checkers of old folders
MOST = 400  # characters of what a library says


def identity(model: Model) -> dict[str, str]:
    """What tells this base model from any other, for metadata and fingerprints."""
    if model.path is not None:
        return {"base_model": model.path, "revision": work.folder_hash(Path(model.path))[:16]}
    return {"base_model": str(model.repo), "revision": str(model.revision)}


class UnsupportedModel(ValueError):
    """A model that this package has no class for."""


def _check_libraries(config: dict[str, Any], where: str) -> None:
    """Refuse parts of other libraries: a module that a model names would be imported, and that runs its code."""
    for part, value in config.items():
        if isinstance(value, list | tuple) and value and value[0] not in (None, *LIBRARIES):
            raise UnsupportedModel(f"{where}: {part} is of {value[0]!r}, expected one of {', '.join(LIBRARIES)}")


def _family(name: str, where: str) -> type[Backbone]:
    for family in FAMILIES:
        if family.pipeline_class == name:
            return family
    known = ", ".join(family.pipeline_class for family in FAMILIES)
    raise UnsupportedModel(f"{where}: is a {name}; supported are {known}")


def load(model: Model, device: str = "cpu") -> Backbone:
    """Load the base model of params.

    Raises:
        ValueError: the folder or revision is missing or no whole diffusers pipeline, or its class is not supported.
    """
    torch.set_num_threads(model.threads)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    source = model.path or str(model.repo)
    if model.path is not None and not (Path(model.path) / "model_index.json").is_file():
        raise ValueError(f"model.path: {model.path} is no diffusers folder (it has no model_index.json)")
    where = source if model.path is not None else f"{source} at revision {model.revision}"
    try:
        config = DiffusionPipeline.load_config(source, revision=model.revision)
        family = _family(str(config.get("_class_name")), source)
        _check_libraries(config, source)
        with torch.random.fork_rng(devices=[]):  # some layers draw their first weights before they are loaded
            pipe = DiffusionPipeline.from_pretrained(
                source,
                revision=model.revision,
                dtype=DTYPES[model.dtype],
                use_safetensors=True,  # the other kind of weights is a pickle
                **family.options,
            )
        loaded = family(pipe.to(device), identity(model))
    except (UnsupportedModel, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each library has its own for a damaged file, tokenizers a bare Exception
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:MOST]}"
        raise ValueError(f"{where}: cannot be loaded ({problem})") from None
    pipe.set_progress_bar_config(disable=True)
    for part in loaded.parts:
        part.requires_grad_(False).eval()
    return loaded
