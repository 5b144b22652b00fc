"""A mixture as a folder: its recipe, the experts' weights and the gates'."""

from pathlib import Path

import torch
from torch import Tensor, nn

from versat2i.adapters.lora import Adapter
from versat2i.adapters.merges import concatenate
from versat2i.adapters.mixture import Mixture, attach, follows
from versat2i.formats import recipe as recipes
from versat2i.formats import tensors
from versat2i.formats.recipe import Expert, Recipe
from versat2i.work.places import RECIPE

EXPERTS, GATES = "experts.safetensors", "gate.safetensors"


def holds(folder: Path) -> bool:
    """Whether a folder holds a mixture, not a plain LoRA."""
    return (folder / RECIPE).exists()


def save(mixture: Mixture, folder: Path, metadata: dict[str, str]) -> None:
    """Write a mixture as one self-contained folder, the same bytes each time.

    Args:
        mixture: what to save.
        folder: gets ``mixture.json``, ``expert.safetensors`` and ``gate.safetensors``.
        metadata: what it was made from: base model, revision.
    """
    experts = [
        Expert(name=adapter.name, rank=adapter.rank, alpha=adapter.alpha, metadata=adapter.metadata)
        for adapter in mixture.adapters
    ]
    weights = {
        f"{adapter.name}/{module}.{which}": weight
        for adapter in mixture.adapters
        for which, part in (("down", adapter.down), ("up", adapter.up))
        for module, weight in part.items()
    }
    tensors.write(weights, folder / EXPERTS)
    tensors.write(mixture.state_dict(), folder / GATES)
    recipe = Recipe(scope=mixture.scope, experts=experts, metadata=metadata, mean_gates=_mean_gates(mixture))
    (folder / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _mean_gates(mixture: Mixture) -> dict[str, list[float]] | None:
    """The mean gates, or None for a mixture that has not been run."""
    means = {module: layer.mean_gate() for module, layer in mixture.layers.items()}
    if mixture.scope != "layer" and any(mean is None for mean in means.values()):
        return None
    return {module: mean.tolist() for module, mean in mixture.mean_gates().items()}


def load(denoiser: nn.Module, folder: Path) -> Mixture:
    """Put a saved mixture into a denoiser: its outputs are those before saving, bit for bit.

    Raises:
        ValueError: a file is missing or damaged, or the mixture was made for another model.
    """
    recipe = recipes.read(folder)
    means = _recorded(recipe)
    weights, _ = tensors.read(folder / EXPERTS)
    gates, _ = tensors.read(folder / GATES)
    try:
        mixture = attach(denoiser, [_expert(expert, weights) for expert in recipe.experts], recipe.scope)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    for module, layer in mixture.layers.items():
        layer.recorded = means.get(module)
    try:
        mixture.load_state_dict(gates)
    except ValueError as error:
        mixture.detach()
        raise ValueError(f"{folder / GATES}: {error}. Delete it and run `dvc repro mix`") from None
    return mixture


def refusal(folder: Path) -> str | None:
    """Why a saved mixture cannot become one LoRA, None where it can; see `mixture.follows`.

    Raises:
        ValueError: a file is missing or damaged.
    """
    gates, _ = tensors.read(folder / GATES)
    return follows(recipes.read(folder).scope, gates)


def collapsed(folder: Path, name: str) -> Adapter:
    """A saved mixture as one ordinary LoRA, without its base model; see `mixture.collapse`.

    Raises:
        ValueError: a file is missing or damaged, the mixture was saved without its mean gates, or its gates follow the
            timestep or the prompt.
    """
    recipe = recipes.read(folder)
    means = _recorded(recipe)
    weights, _ = tensors.read(folder / EXPERTS)
    gates, _ = tensors.read(folder / GATES)
    experts = [_expert(expert, weights) for expert in recipe.experts]
    if not means or any(f"{module}.scale" not in gates for module in means):
        raise ValueError(f"{folder / RECIPE}: has no mean gates to bake in. Run `dvc repro mix` to make it again")
    if reason := follows(recipe.scope, gates):
        raise ValueError(f"{folder}: {reason}")
    return concatenate(experts, {module: gates[f"{module}.scale"] * mean for module, mean in means.items()}, name)


def _recorded(recipe: Recipe) -> dict[str, Tensor]:
    """The mean gates of a recipe, ``[experts]`` each."""
    return {module: torch.tensor(mean) for module, mean in (recipe.mean_gates or {}).items()}


def _expert(expert: Expert, weights: dict[str, Tensor]) -> Adapter:
    """An expert with its weights, checked against the recipe."""
    parts: dict[str, dict[str, Tensor]] = {}
    for which in ("down", "up"):
        start, end = f"{expert.name}/", f".{which}"
        parts[which] = {
            key.removeprefix(start).removesuffix(end): value
            for key, value in weights.items()
            if key.startswith(start) and key.endswith(end)
        }
    down, up = parts["down"], parts["up"]
    if not down or down.keys() != up.keys() or any(len(value) != expert.rank for value in down.values()):
        raise ValueError(
            f"{EXPERTS} does not hold expert {expert.name} at rank {expert.rank}, as {RECIPE} says. "
            "Delete the folder and run `dvc repro mix`"
        )
    return Adapter(expert.name, down, up, expert.alpha, expert.metadata)
