"""A model from its configs alone: networks of its shapes and dtypes without weights, on torch's meta device."""

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline, SchedulerMixin
from huggingface_hub import snapshot_download
from torch import Tensor, nn

from versat2i.models.diffusion import loading
from versat2i.models.diffusion.base import Backbone
from versat2i.models.diffusion.embeddings import Embeddings
from versat2i.settings import reader
from versat2i.settings.compute import CPU, Compute
from versat2i.settings.params import Model
from versat2i.work import hub

META = torch.device("meta")
INDEX = "model_index"
CONFIGS = [f"{INDEX}.json", "*/config.json", "*/scheduler_config.json"]  # of a repository: a few kilobytes

Configs = dict[str, dict[str, Any]]  # of a pipeline, as `INDEX`, and of its parts by name


def load(model: Model, machine: Compute = CPU, place: Path | None = None) -> Backbone:
    """A model without weights or tokenizers.

    Args:
        model: the base model of params; its earlier rounds change no shape.
        machine: says whether training computes activations again.
        place: where to read configs in place of the model's own: a diffusers folder, which needs no weights, or a YAML
            file with a section a part.

    Raises:
        ValueError: a config is missing or damaged, or the model's class is not supported; says what to fetch.
    """
    place = _folder(model) if place is None else place
    loading.silence()
    try:
        configs = _read(place)
        index = configs[INDEX]
        family = loading.family_of(str(index.get("_class_name")), str(place))
        loading.check_libraries(index, str(place))
        pipe = _pipeline(configs, family, loading.DTYPES[model.dtype])
    except loading.UnsupportedModel:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        missing = "has no config of " if isinstance(error, KeyError) else ""
        problem = f"{missing}{' '.join(str(error).split())}"[: loading.MOST]
        raise ValueError(f"{place}: no model can be made of its configs ({problem}). {_advice(model)}") from None
    return family(pipe, {"base_model": model.name, "revision": str(model.revision)}, machine)


def _folder(model: Model) -> Path:
    """Where the configs lie; of a repository they are downloaded."""
    place, revision = model.place
    if revision is None:
        return Path(place)
    try:
        return Path(snapshot_download(place, revision=revision, allow_patterns=CONFIGS))
    except hub.failures() as error:
        why = hub.reason(error, place, revision) or " ".join(str(error).split())
        raise ValueError(f"{why}. {_advice(model)}") from None


def _advice(model: Model) -> str:
    place, revision = model.place
    if revision is None:
        return "Name a diffusers folder by --configs; it needs no weights"
    wanted = " ".join(f"--include '{pattern}'" for pattern in CONFIGS)
    return (
        f"Where there is a network, `hf download {place} --revision {revision} {wanted} --local-dir FOLDER` takes the "
        "configs alone; name them by --configs FOLDER"
    )


def _read(place: Path) -> Configs:
    if place.is_file():
        found: Configs = reader.parse(place.read_text(encoding="utf-8"))
        return found
    texts = {INDEX: (place / f"{INDEX}.json").read_text(encoding="utf-8")}
    for file in ("config.json", "scheduler_config.json"):
        texts |= {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(place.glob(f"*/{file}"))}
    return {name: json.loads(text) for name, text in texts.items()}


def _pipeline(configs: Configs, family: type[Backbone], dtype: torch.dtype) -> DiffusionPipeline:
    kind = getattr(diffusers, family.pipeline_class)
    taken = inspect.signature(kind).parameters
    parts: dict[str, Any] = {}
    for name, value in configs[INDEX].items():
        if name not in taken:
            continue
        if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[1], str | None):
            parts[name] = _part(configs, name, value[0], value[1], dtype)
        else:
            parts[name] = value
    missing = {name: None for name, parameter in taken.items() if parameter.default is parameter.empty}
    return kind(**(missing | parts | family.options))


def _part(configs: Configs, name: str, library: str | None, kind: str | None, dtype: torch.dtype) -> Any:
    """A network without weights, or a scheduler; None for what has no config of its own: tokenizers, processors."""
    found: Any = getattr({"diffusers": diffusers, "transformers": transformers}.get(str(library)), str(kind), None)
    if not isinstance(found, type):
        return None
    if issubclass(found, SchedulerMixin):
        return found.from_config(configs[name])  # type: ignore[attr-defined]
    return _network(found, configs[name], dtype) if issubclass(found, nn.Module) else None


def _network(kind: Any, config: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """A network on the meta device, each weight in the dtype that `from_pretrained` gives it."""
    with torch.random.fork_rng(devices=[]), META:
        if issubclass(kind, transformers.PreTrainedModel):
            network = kind._from_config(kind.config_class.from_dict(config), dtype=dtype)
            kept = set(network._keep_in_fp32_modules_strict or ())
            if dtype == torch.float16:
                kept |= set(network._keep_in_fp32_modules or ())
        else:
            network = kind.from_config(config)
            kept = set(kind._keep_in_fp32_modules or ())
    for name, weight in (*network.named_parameters(), *network.named_buffers()):
        if weight.is_floating_point():
            whole = bool(kept & set(name.split(".")))
            weight.data = weight.data.to(torch.float32 if whole else dtype)
    found: nn.Module = network.requires_grad_(False).eval()
    return found


def texts(model: Backbone, amount: int) -> Embeddings:
    """Embeddings of prompts of full length, without content; their mask is real: some denoisers count its tokens."""
    (tokens, *rest), pooled = model.text_shape()
    dtype = model.denoiser.dtype
    hidden = torch.empty(amount, tokens, *rest, dtype=dtype, device=META)
    width = None if pooled is None else torch.empty(amount, pooled, dtype=dtype, device=META)
    return Embeddings(hidden, torch.ones(amount, tokens, dtype=torch.bool), width)


def predict(model: Backbone, amount: int, size: int | None) -> Tensor:
    """A pass through the denoiser for images of a side, with prompts of full length."""
    prompts = texts(model, amount)
    noisy = torch.empty(amount, *model.latent_shape(size), dtype=model.denoiser.dtype, device=META)
    with model.running(prompts.mask):
        return model._denoise(noisy, torch.empty(amount, device=META), prompts)


def decode(model: Backbone, amount: int, size: int | None) -> None:
    """A pass through the decoder."""
    vae = model.pipe.vae
    vae.decode(model._unscaled(torch.empty(amount, *model.latent_shape(size), dtype=vae.dtype, device=META)))


def encode(model: Backbone) -> None:
    """Each text encoder reads one prompt of full length, CLIP's of the length that they have."""
    (tokens, *_), _ = model.text_shape()
    for name, part in model.pipe.components.items():
        if name.startswith("text_encoder") and part is not None:
            most = getattr(part.config, "max_position_embeddings", None) or tokens
            part(input_ids=torch.empty(1, min(tokens, most), dtype=torch.long, device=META))
