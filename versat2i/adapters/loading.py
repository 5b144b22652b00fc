"""Put a saved adapter, a plain LoRA or a mixture, into a model."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from versat2i.adapters import foreign, lora, mixture_files
from versat2i.adapters.mixture import Mixture
from versat2i.formats import recipe
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone, lora_files, quantized, start
from versat2i.settings.compute import CPU
from versat2i.settings.params import Model
from versat2i.work import fingerprint, places
from versat2i.work import identity as identities


def put(model: Backbone, folder: Path) -> Mixture | None:
    """Load the adapter of a folder into a model.

    Args:
        model: the base model it was trained on.
        folder: with ``pytorch_lora_weights.safetensors`` (by diffusers' own loader) or a mixture.

    Returns:
        the mixture, or None for a plain LoRA.

    Raises:
        ValueError: there is no adapter, it is damaged, or it belongs to another base model.
    """
    if not mixture_files.holds(folder):
        adapter = lora.read(folder, folder.name)
        lora.check_base(adapter.metadata, model.identity, folder)
        lora.check_layers(adapter, model.denoiser, folder)
        try:
            model.pipe.load_lora_weights(folder, adapter_name=_name(folder))
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = " ".join(str(error).split())[:300]
            raise ValueError(f"{folder / lora.FILE}: diffusers cannot load it ({problem}). Train it again") from None
        return None
    lora.check_base(metadata(folder), model.identity, folder)
    return mixture_files.load(model.denoiser, folder)


def _name(folder: Path) -> str:
    """Name a plain LoRA in the pipeline: its folder's name without dots, which torch forbids in module names."""
    return folder.resolve().name.replace(".", "_")


@dataclass(frozen=True)
class Put:
    """`put` with its folder: a preparation of `painter.Recipe`.

    A plain LoRA is merged into the weights, ``W + scale B A``: an image takes three quarters to nine tenths of the
    time. Weights in bfloat16 or in 4 bits stay as they are: rounding would take much of the update away.
    """

    folder: Path

    def __call__(self, model: Backbone) -> None:
        mixed = put(model, self.folder)
        if mixed is None and model.denoiser.dtype != torch.bfloat16 and not quantized.is_quantized(model.denoiser):
            model.pipe.fuse_lora()
            model.pipe.unload_lora_weights()

    def identity(self) -> str:
        """Hash of the adapter's files."""
        return identities.of(self.folder)


def metadata(folder: Path) -> dict[str, str]:
    """Read the metadata of an adapter: base model, revision.

    Raises:
        ValueError: there is no adapter, or it is damaged.
    """
    if mixture_files.holds(folder):
        return recipe.read(folder).metadata
    return lora.read(folder, folder.name).metadata


def put_foreign(model: Backbone, path: Path) -> None:
    """Load a LoRA that another trainer made into a model.

    Args:
        model: the base model.
        path: a safetensors file, or a folder that holds one.

    Raises:
        ValueError: it is no plain LoRA of this model's denoiser; see `foreign.read`.
    """
    adapter = foreign.read(path.parent if path.name == foreign.PEFT else path, path.stem, model)
    model.pipe.load_lora_weights(lora.file_state(adapter), adapter_name=_name(path))  # alpha is the rank


def earlier(folder: Path) -> list[Path]:
    """Find the earlier rounds that an adapter's base had in it, in order; none for one made in the first round.

    They are looked for as params named them (from here, from the adapter's project, from this package's), and within
    the adapter's folder, where `tools.card` puts them.

    Raises:
        ValueError: one is missing, or others of its name have been made since.
    """
    found = []
    for number, (name, digest) in enumerate(lora_files.rounds(metadata(folder)), start=1):
        roots = (Path(), places.root(folder.absolute()), fingerprint.ROOT)
        candidates = [*(root / name for root in roots), folder / places.round_of(number)]
        there = next((p for p in candidates if p.is_dir() and identities.of(p)[: start.LENGTH] == digest), None)
        if there is None:
            raise ValueError(
                f"{folder}: its base has {name} in it, an earlier round, which is not here as it was then. Run `dvc "
                f"pull {name}.dvc` in its project, or take the one file of `versat2i export`, which holds all rounds"
            )
        found.append(there)
    return found


def load(folder: Path, device: str, dtype: str, of: str | None = None) -> DiffusionPipeline:
    """The pipeline of `versat2i.load`."""
    if of is not None:
        repo, _, commit = of.partition("@")
        named = {"path": of} if Path(of).exists() else {"repo": repo, "revision": commit}
        given = Model(**named, dtype=dtype, threads=torch.get_num_threads())  # type: ignore[arg-type]
        model = diffusion.load(given, CPU.model_copy(update={"device": device}))
        put_foreign(model, folder)
        return model.pipe
    base = metadata(folder)
    name, revision = base.get("base_model"), base.get("revision")
    if not name:
        raise ValueError(
            f"{folder}: does not say which base model it was made for; expected a folder of train_lora or mix"
        )
    local = next((path for path in (Path(name), fingerprint.ROOT / name) if path.exists()), None)
    if "config" in base:
        source = {"file": str(local or name), "config": base["config"]}
    else:
        source = {"path": str(local)} if local else {"repo": name, "revision": str(revision)}
        source |= {"variant": base["variant"]} if "variant" in base else {}
    source |= {"quantize": base[quantized.KEY]} if quantized.KEY in base else {}
    rounds = [str(path) for path in earlier(folder)]
    chosen = Model(**source, dtype=dtype, threads=torch.get_num_threads(), start=rounds)  # type: ignore[arg-type]
    model = diffusion.load(chosen, CPU.model_copy(update={"device": device}))
    mixed = put(model, folder)
    if mixed is not None:
        _follow_prompts(model, mixed)
    return model.pipe


def _follow_prompts(model: Backbone, mixed: Mixture) -> None:
    """Tell the gates, at each call of the pipeline, which tokens of its prompts are padding."""
    if model.follows_calls:  # each call of its denoiser says so
        return
    encode = model.pipe.encode_prompt
    signature = inspect.signature(encode)  # each family's has an order of its own

    def encode_prompt(*args: Any, **kwargs: Any) -> tuple[Tensor | None, ...]:
        embeddings = encode(*args, **kwargs)
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        told = call.arguments
        unconditional = embeddings[1] if told["do_classifier_free_guidance"] else None
        mask = None
        if told["prompt"] is not None:
            mask = _mask(model, told["prompt"], told["negative_prompt"], (embeddings[0], unconditional))
        mixed.mask_text(mask)
        return embeddings

    model.pipe.encode_prompt = encode_prompt


def _mask(model: Backbone, prompt: str | list[str], negative: Any, embeddings: tuple[Tensor, Tensor | None]) -> Tensor:
    """True where a token is no padding, for the batch as the denoiser sees it: unconditional first."""
    texts = [prompt] if isinstance(prompt, str) else prompt
    mask = model.text_mask(texts).repeat_interleave(len(embeddings[0]) // len(texts), dim=0)
    if embeddings[1] is None:
        return mask.to(model.device)
    negatives = [negative or ""] if negative is None or isinstance(negative, str) else negative
    unconditional = model.text_mask(negatives)
    unconditional = unconditional.repeat_interleave(len(mask) // len(unconditional), dim=0)
    return torch.cat([unconditional, mask]).to(model.device)
