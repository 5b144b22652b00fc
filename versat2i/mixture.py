"""Mixture of LoRA: gates in a denoiser's adapted layers decide how much of each expert to use.

`attach` puts them in, `gates.MixedLinear` says what a layer computes, `collapse` bakes a trained mixture
into one ordinary LoRA.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from versat2i import tensors
from versat2i.gates import MixedLinear, Scope
from versat2i.lora import Adapter
from versat2i.merges import concatenate, shapes, stack
from versat2i.params import hint

TEXT_LAYERS = (".attn2.to_k", ".attn2.to_v")  # what cross-attention feeds with text embeddings
RECIPE, EXPERTS, GATES = "mixture.json", "experts.safetensors", "gate.safetensors"


class Expert(BaseModel):
    """An expert of a saved mixture; its weights lie in ``experts.safetensors``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rank: int
    alpha: float
    metadata: dict[str, str]


class Recipe(BaseModel):
    """What a saved mixture consists of; ``metadata`` names its base model and revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    experts: list[Expert]
    metadata: dict[str, str]


class Mixture:
    """The mixed layers of a denoiser: what to train, what to log, and how to take them out again.

    Attributes:
        denoiser: the model they are in, frozen.
        adapters: the experts, as they were read.
        scope: what the gates look at.
        layers: the mixed layers by module name.
    """

    def __init__(
        self, denoiser: nn.Module, adapters: list[Adapter], scope: Scope, layers: dict[str, MixedLinear]
    ) -> None:
        self.denoiser, self.adapters, self.scope, self.layers = denoiser, adapters, scope, layers

    def parameters(self) -> list[nn.Parameter]:
        """E, b, tau and lambda of every layer."""
        return [parameter for layer in self.layers.values() for parameter in layer.gate.parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """The gates' parameters, by ``<module>.<parameter>``."""
        return {
            f"{module}.{name}": value
            for module, layer in self.layers.items()
            for name, value in layer.gate.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set the gates' parameters to what `state_dict` returned."""
        own = self.state_dict()
        wrong = {name for name in own.keys() | state.keys() if _shape(own, name) != _shape(state, name)}
        if wrong:
            name = min(wrong)
            raise ValueError(f"gate '{name}' is {_shape(state, name)}, expected {_shape(own, name)}")
        for name, value in own.items():
            value.copy_(state[name])

    def balance_loss(self) -> Tensor:
        """``-log prod_i q_i``, q_i the mean of g_i over layers and batch of the last forward pass.

        Only passes in training mode and with gradient count; reading it forgets them. It is least where
        every q_i is 1/N: N log N (MoLE, Wu et al. 2024).
        """
        means = [layer.last for layer in self.layers.values() if layer.last is not None]
        if not means:
            raise ValueError(
                "balance_loss needs a forward pass with gradient, the denoiser in training mode, before it"
            )
        for layer in self.layers.values():
            layer.last = None
        return -torch.stack(means).mean(dim=0).log().sum()

    def mean_gates(self) -> dict[str, Tensor]:
        """Mean gate of each layer over all images since `reset`, ``[experts]``; needs none for ``layer``."""
        if self.scope == "layer":  # such a gate looks at no input: any will do
            return {module: layer.gate(layer.weight).detach() for module, layer in self.layers.items()}
        idle = [module for module, layer in self.layers.items() if not layer.images]
        if idle:
            raise ValueError(f"mean_gates: layer '{idle[0]}' has seen no image. Run the denoiser first")
        return {module: layer.seen / layer.images for module, layer in self.layers.items()}

    def reset(self) -> None:
        """Forget the gates seen so far."""
        for layer in self.layers.values():
            layer.reset()

    def override(self, weights: dict[str, float] | None) -> None:
        """Put fixed weights in place of ``lambda g_i``, e.g. ``{"geometry": 0.5}``; an expert left out gets 0.

        None gives the gates their say again.
        """
        names = [adapter.name for adapter in self.adapters]
        for name in weights or {}:
            if name not in names:
                raise ValueError(f"'{name}' is not an expert of this mixture ({', '.join(names)}){hint(name, names)}")
        for layer in self.layers.values():
            values = None if weights is None else torch.tensor([weights.get(name, 0.0) for name in names])
            layer.fixed = None if values is None else values.to(layer.weight.device)

    @contextmanager
    def masking(self, mask: Tensor | None) -> Iterator[None]:
        """Leave padding out of what the gates of cross-attention's keys and values pool over.

        With gradient checkpointing the backward pass, which runs the layers again, belongs inside too.

        Args:
            mask: True where a text token is not padding, ``[batch, tokens]``; None: there is no padding.
        """
        before = [layer.mask for layer in self._text_layers()]
        try:
            self.mask_text(mask)
            yield
        finally:
            for layer, kept in zip(self._text_layers(), before, strict=True):
                layer.mask = kept

    def mask_text(self, mask: Tensor | None) -> None:
        """As `masking`, until the next call."""
        for layer in self._text_layers():
            layer.mask = mask

    def _text_layers(self) -> list[MixedLinear]:
        return [layer for module, layer in self.layers.items() if module.endswith(TEXT_LAYERS)]

    def detach(self) -> None:
        """Put the original linear layers back."""
        for module, layer in self.layers.items():
            self.denoiser.set_submodule(module, layer.base)


def _shape(state: dict[str, Tensor], name: str) -> list[int] | str:
    return list(state[name].shape) if name in state else "missing"


def attach(denoiser: nn.Module, adapters: list[Adapter], scope: Scope) -> Mixture:
    """Freeze a denoiser and mix experts into every linear layer that at least one of them adapts.

    An expert that leaves a layer alone adds nothing there, whatever its gate.

    Raises:
        ValueError: two experts have one name, or an expert was made for another model.
    """
    if scope not in get_args(Scope):
        known = get_args(Scope)
        raise ValueError(f"'{scope}' is not a scope of a gate ({', '.join(known)}){hint(scope, known)}")
    names = [adapter.name for adapter in adapters]
    if len(set(names)) < len(names):
        raise ValueError(f"experts need names of their own (found: {', '.join(names)})")
    layers = shapes(adapters)
    linears = {module: _linear(denoiser, module, shape) for module, shape in layers.items()}
    denoiser.requires_grad_(False)
    ranks = [adapter.rank for adapter in adapters]
    mixed = {
        module: MixedLinear(linear, *stack(adapters, module, layers[module]), ranks, scope)
        for module, linear in linears.items()
    }
    for module, layer in mixed.items():
        denoiser.set_submodule(module, layer)
    return Mixture(denoiser, adapters, scope, mixed)


def _linear(denoiser: nn.Module, module: str, shape: tuple[int, int]) -> nn.Linear:
    """The layer of that name, if it is a plain linear one of that shape."""
    model = type(denoiser).__name__
    try:
        layer = denoiser.get_submodule(module)
    except AttributeError:
        raise ValueError(
            f"the experts adapt layer '{module}', which this {model} lacks. Use the base model they were trained on"
        ) from None
    if not isinstance(layer, nn.Linear):
        raise ValueError(
            f"layer '{module}' of this {model} is a {type(layer).__module__}.{type(layer).__name__}, expected is a "
            "plain linear layer. Detach the mixture or unload the LoRA that is in it first"
        )
    if layer.weight.shape != shape:
        raise ValueError(
            f"the experts expect layer '{module}' to be {list(shape)}, in this {model} it is "
            f"{list(layer.weight.shape)}. Use the base model they were trained on"
        )
    return layer


def collapse(mixture: Mixture, name: str, mean_gates: dict[str, Tensor] | None = None) -> Adapter:
    """Bake mean gates into one ordinary LoRA, ``sum_i lambda g_i s_i B_i A_i`` of rank ``sum_i r_i``.

    Exact for scope ``layer``; for the others the gates no longer follow the input.

    Args:
        mixture: the trained mixture.
        name: of the result.
        mean_gates: ``[experts]`` for each layer; None: those of `Mixture.mean_gates`.
    """
    gates = mixture.mean_gates() if mean_gates is None else mean_gates
    weights = {
        module: (layer.gate.scale.detach() * gates[module]).float().cpu() for module, layer in mixture.layers.items()
    }
    return concatenate(mixture.adapters, weights, name)


def save(mixture: Mixture, folder: Path, metadata: dict[str, str]) -> None:
    """Write a mixture as one self-contained folder, the same bytes each time.

    Args:
        mixture: what to save.
        folder: gets ``mixture.json``, ``experts.safetensors`` and ``gate.safetensors``.
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
    recipe = Recipe(scope=mixture.scope, experts=experts, metadata=metadata)
    (folder / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_recipe(folder: Path) -> Recipe:
    """What a saved mixture consists of, without its weights.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = folder / RECIPE
    try:
        return Recipe.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file. Run `dvc repro mix` or `dvc pull` first") from None
    except (ValidationError, UnicodeDecodeError) as error:
        reason = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(str(part) for part in reason["loc"])
        raise ValueError(
            f"{path}: not the recipe of a mixture ({place + ': ' if place else ''}{reason['msg']}). "
            "Delete it and run `dvc repro mix`"
        ) from None


def load(denoiser: nn.Module, folder: Path) -> Mixture:
    """Put a saved mixture into a denoiser: its outputs are those before saving, bit for bit.

    Raises:
        ValueError: a file is missing or damaged, or the mixture was made for another model.
    """
    recipe = read_recipe(folder)
    weights, _ = tensors.read(folder / EXPERTS)
    gates, _ = tensors.read(folder / GATES)
    try:
        mixture = attach(denoiser, [_expert(expert, weights) for expert in recipe.experts], recipe.scope)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    try:
        mixture.load_state_dict(gates)
    except ValueError as error:
        mixture.detach()
        raise ValueError(f"{folder / GATES}: {error}. Delete it and run `dvc repro mix`") from None
    return mixture


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
