"""Load the base model of params, or say in one line why that cannot be done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from versat2i.models.diffusion import forms, quantized, running, single_file, start
from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.chroma import Chroma
from versat2i.models.diffusion.flux import Flux
from versat2i.models.diffusion.flux2 import Flux2, Klein
from versat2i.models.diffusion.forms import UnsupportedModel
from versat2i.models.diffusion.krea2 import Krea2
from versat2i.models.diffusion.lumina2 import Lumina2
from versat2i.models.diffusion.qwen_image import QwenImage
from versat2i.models.diffusion.sana import Sana
from versat2i.models.diffusion.schedules import schedule_of
from versat2i.models.diffusion.sd3 import StableDiffusion3
from versat2i.models.diffusion.sdxl import StableDiffusionXL
from versat2i.models.diffusion.stable_diffusion import StableDiffusion
from versat2i.models.diffusion.z_image import ZImage
from versat2i.settings.compute import CPU, Compute
from versat2i.settings.params import Model
from versat2i.work import files, hub
from versat2i.work import identity as identities

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
CHECKER = "safety_checker"  # the part of a pipeline that `versat2i.generate.safety` loads
FAMILIES: tuple[type[Backbone], ...] = (
    *(StableDiffusion, StableDiffusionXL, StableDiffusion3),
    *(ZImage, QwenImage, Flux, Klein, Flux2),
    *(Chroma, Sana, Lumina2, Krea2),
)
LIBRARIES = ("diffusers", "transformers", "stable_diffusion")  # the last: safety checkers of old folders
TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"  # what transformers calls its warning
MOST = 400  # characters of what a library says


def identity(model: Model) -> dict[str, str]:
    """Identify a base model with the earlier rounds in it, for metadata and fingerprints."""
    rounds = start.identity(model.start) if model.start else {}
    return _own_identity(model) | rounds | quantized.identity(model.quantize)


def _own_identity(model: Model) -> dict[str, str]:
    if model.file is not None:
        return single_file.identity(model)
    chosen = {"variant": model.variant} if model.variant else {}
    if model.path is not None:
        return {"base_model": model.path, "revision": identities.of(Path(model.path))[:16]} | chosen
    return {"base_model": str(model.repo), "revision": str(model.revision)} | chosen


def check_libraries(config: dict[str, Any], where: str) -> None:
    """Refuse parts of other libraries: a module that a model names would be imported, and that runs its code."""
    for part, value in config.items():
        named = isinstance(value, list | tuple) and value and not isinstance(value[0], int)  # numbers: a setting
        if named and value[0] not in (None, *LIBRARIES):
            raise UnsupportedModel(f"{where}: {part} is of {value[0]!r}, expected one of {', '.join(LIBRARIES)}")


def _check_tokenizers(pipe: DiffusionPipeline) -> None:
    """Refuse a tokenizer without words: that is what transformers makes of one whose file is missing."""
    for part, tokenizer in pipe.components.items():
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            continue
        tokenizer.deprecation_warnings[TOO_LONG] = True  # said already: `prompts.lengths` says it truly
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise OSError(f"{part} knows no words: its file of words is missing")


def _check_schedule(pipe: DiffusionPipeline, family: type[Backbone], where: str) -> None:
    """Refuse a model that cannot be trained before anything is drawn from it."""
    try:
        schedule_of(pipe.scheduler, family.shifted_by_size)
    except ValueError as error:
        raise UnsupportedModel(f"{where}: {error}") from None


def family_of(name: str, where: str) -> type[Backbone]:
    """The family of a pipeline's class.

    Raises:
        UnsupportedModel: there is none.
    """
    for family in FAMILIES:
        if family.pipeline_class == name:
            return family
    known = ", ".join(family.pipeline_class for family in FAMILIES)
    raise UnsupportedModel(f"{where}: is a {name}; supported are {known}")


def silence() -> None:
    """Keep diffusers' warnings and progress bars off the terminal."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


@contextmanager
def explained(model: Model) -> Iterator[None]:
    """Load quietly; whatever keeps a model from being loaded is a ValueError of one line that says what to do."""
    if model.path is not None:
        forms.check_folder(model.path)
    elif model.config is not None and model.place[1] is None:
        forms.check_folder(model.config, "config")
    silence()
    try:
        yield
    except (UnsupportedModel, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each library has its own for a damaged file, tokenizers a bare Exception
        place, revision = model.place
        if revision is not None and (why := hub.reason(error, place, revision)):
            raise ValueError(f"model.{'config' if model.file else 'repo'}: {why}") from None
        where = model.name if model.repo is None else f"{model.repo} at revision {model.revision}"
        kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        problem = f"{kind}{' '.join(str(error).split())}"[:MOST]
        raise ValueError(f"{where}: cannot be loaded ({problem}). Is it whole?") from None


def fetch(model: Model, checker: bool) -> None:
    """Download what `load` reads of a repository of the hub, with a progress bar.

    Args:
        model: the base model of params.
        checker: whether its safety checker is needed too.

    Raises:
        ValueError: it is not there, may not be read, or its class is not supported.
    """
    repo, revision = model.place
    with explained(model), hub.progress():
        family = family_of(DiffusionPipeline.load_config(repo, revision=revision)["_class_name"], repo)
        if model.file is not None:
            single_file.fetch(model)
            return
        DiffusionPipeline.download(repo, revision=revision, variant=_variant(model), **family.options)
        if checker:
            files = [f"{CHECKER}/config.json", f"{CHECKER}/model.safetensors"]
            snapshot_download(repo, revision=revision, allow_patterns=files)


def _variant(model: Model) -> str | None:
    """The kind of weights that params name, else the only one that there is."""
    if model.variant is not None:
        return model.variant
    if model.path is not None:
        return forms.variant(_names(Path(model.path)), model.name)
    try:
        names = HfApi().list_repo_files(str(model.repo), revision=model.revision)
    except hub.failures():  # the hub is switched off or away: what was downloaded before counts
        index = hf_hub_download(str(model.repo), "model_index.json", revision=model.revision, local_files_only=True)
        names = _names(Path(index).parent)
    return forms.variant(names, model.name, model.revision)


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files.below(folder)]


def pipeline(model: Model, family: type[Backbone]) -> DiffusionPipeline:
    """The model of params in diffusers' own class."""
    with torch.random.fork_rng(devices=[]):  # some layers draw their first weights before they are loaded
        if model.file is not None:
            kind = getattr(diffusers, family.pipeline_class)
            return single_file.load(model, kind, DTYPES[model.dtype], family.options)
        return DiffusionPipeline.from_pretrained(
            model.name,
            revision=model.revision,
            variant=_variant(model),
            dtype=DTYPES[model.dtype],
            use_safetensors=True,  # the other kind of weights is a pickle
            **family.options,
        )


def load(model: Model, machine: Compute = CPU) -> Backbone:
    """Load the base model of params.

    Args:
        model: the base model.
        machine: how and where it runs.

    Raises:
        ValueError: the folder or revision is missing or no whole diffusers pipeline, its class is not supported,
            a LoRA of an earlier round does not belong to it, or what quantises it is not installed.
    """
    torch.set_num_threads(model.threads)
    source, revision = model.place
    with explained(model):
        config = DiffusionPipeline.load_config(source, revision=revision)
        family = family_of(str(config.get("_class_name")), source)
        check_libraries(config, source)
        pipe = pipeline(model, family)
        _check_tokenizers(pipe)
        forms.check_task(pipe, model.name)
        _check_schedule(pipe, family, source)
    known = identity(model)
    if model.start:
        start.fuse(getattr(pipe, family.denoiser_name), model.start, known)
    pipe.set_progress_bar_config(disable=True)
    device = machine.torch_device()
    if model.quantize is not None:
        quantized.quantize(getattr(pipe, family.denoiser_name), device, DTYPES[model.dtype])
    running.place(pipe, device, machine, model.vae_tiling)
    loaded = family(pipe, known, machine)
    running.mixed(loaded.denoiser, device, model.mixed_precision)
    for part in loaded.parts:
        part.requires_grad_(False).eval()
    return loaded
