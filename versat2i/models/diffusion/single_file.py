"""A checkpoint in one file, as ComfyUI, A1111 and model sites have it, beside the configs of a diffusers folder."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from versat2i.models.diffusion.forms import UnsupportedModel
from versat2i.settings.params import Model
from versat2i.work import files

CONFIGS = ["*.json", "*.txt", "*.model"]  # of a diffusers repository, all but weights
COMFY = "a LoRA in ComfyUI's or peft's names"
PARTS: dict[str, tuple[str, ...]] = {  # the first part of names, and what a file is that has no others
    "a LoRA": ("lora_", "lycoris_"),
    "a LoRA in diffusers' names": ("unet.", "transformer.", "text_encoder."),
    COMFY: (),
    "a denoiser alone": ("down_blocks.", "mid_block.", "double_blocks.", "transformer_blocks.", "input_blocks."),
    "a ControlNet": ("control_model.", "controlnet_"),
    "a textual inversion": ("emb_params", "string_to_param."),
    "an autoencoder alone": ("encoder.", "decoder."),
}
WHOLE = "Name a file with text encoder, denoiser and autoencoder, or a diffusers folder"
KIND = "Is it whole, and is `config` a model of its kind?"
TO_DO = {
    "a LoRA": "Name the checkpoint that it was trained on",
    "a LoRA in diffusers' names": "Name its base model",
    COMFY: "Name its base model",
}


def identity(model: Model) -> dict[str, str]:
    """The file's name, a hash of its bytes and of the configs, and where these lie."""
    file, config = str(model.file), str(model.config)
    folder = _configs(model)
    texts = [path for path in files.below(folder) if any(path.match(pattern) for pattern in CONFIGS)]
    whole = f"{files.file_hash(Path(file))} {files.folder_hash(folder, texts)}"
    return {"base_model": file, "revision": hashlib.sha256(whole.encode()).hexdigest()[:16], "config": config}


def _configs(model: Model) -> Path:
    """The folder of the configs; of a repository as far as it was downloaded."""
    place, revision = model.place
    if revision is None:
        return Path(place)
    return Path(snapshot_download(place, revision=revision, allow_patterns=CONFIGS))


def fetch(model: Model) -> None:
    """Download the configs, where they lie at the hub."""
    _configs(model)


def check(file: str) -> None:
    """Refuse what is no whole checkpoint.

    Raises:
        UnsupportedModel: says what it is and what to do.
    """
    path = Path(file)
    if not path.is_file():
        raise UnsupportedModel(f"model.file: {file}: there is no such file")
    if path.suffix != ".safetensors":
        pickled = path.suffix != ".gguf"
        why = (
            "may be a pickle, which runs code when it is read"
            if pickled
            else "holds quantised weights, which cannot be trained"
        )
        raise UnsupportedModel(f"model.file: {file} {why}. Take the same checkpoint as .safetensors")
    try:
        with safe_open(path, framework="pt") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise UnsupportedModel(f"model.file: {file}: no whole safetensors file ({error}). Download it again") from None
    kinds = {kind for kind, starts in PARTS.items() if any(name.startswith(starts) for name in names)}
    if any(".lora_" in name and name.startswith(("diffusion_model.", "base_model.model.")) for name in names):
        kinds = {COMFY}
    whole = any(name.startswith(("model.diffusion_model.", "first_stage_model.")) for name in names)
    if not whole and len(kinds) == 1 and (kind := kinds.pop()):
        todo = TO_DO.get(kind, WHOLE)
        raise UnsupportedModel(f"model.file: {file} is {kind}, no whole model. {todo}")


def load(model: Model, kind: type[DiffusionPipeline], dtype: torch.dtype, options: dict[str, Any]) -> DiffusionPipeline:
    """The pipeline of a checkpoint.

    Args:
        model: of params.
        kind: the pipeline's class, which the configs name.
        dtype: of its weights.
        options: of that class's constructor.

    Raises:
        UnsupportedModel: it is no whole checkpoint, or of other parts than the configs say.
    """
    file = str(model.file)
    check(file)
    whole = {"dtype": dtype, "local_files_only": True} | options
    try:
        pipe = kind.from_single_file(file, config=str(_configs(model)), **whole)
    except SingleFileComponentError as error:
        part = str(error).partition("Failed to load ")[2].partition(".")[0]
        raise UnsupportedModel(f"{file}: lacks the {part or 'part'} that {model.config} has. {WHOLE}") from None
    except (KeyError, NotImplementedError) as error:  # the latter: a weight that stayed empty cannot be moved
        first = f" ({error})" if isinstance(error, KeyError) else ""
        raise UnsupportedModel(f"{file}: lacks weights{first} that {model.config} has. {KIND}") from None
    networks = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    empty = [(type(part).__name__, name) for part in networks for name, p in part.named_parameters() if p.is_meta]
    if empty:
        part, first = empty[0]
        where = f"first: {part}'s {first}"
        raise UnsupportedModel(f"{file}: lacks {len(empty)} weights that {model.config} has ({where}). {KIND}")
    return pipe
