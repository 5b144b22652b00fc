"""Mixture of LoRA: gates in a denoiser's adapted layers decide how much of each expert to use.

`attach` puts them in, `gates` says what a layer computes, `collapse` bakes a trained mixture
into one ordinary LoRA. `mixture_files` saves and loads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from versat2i.adapters import conditions
from versat2i.adapters.conditions import Condition
from versat2i.adapters.gated_layer import Mixed, MixedConv, MixedLinear
from versat2i.adapters.lora import Adapter
from versat2i.adapters.merges import concatenate, shapes, stack
from versat2i.formats.recipe import Scope
from versat2i.models.diffusion import names, quantized
from versat2i.models.diffusion.names import MASKING
from versat2i.settings.complaints import hint


class Mixture:
    """The mixed layers of a denoiser: what to train, what to log, and how to take them out again.

    Attributes:
        denoiser: the model they are in, frozen.
        adapters: the experts, as they were read.
        scope: what the gates look at.
        layers: the mixed layers by module name.
        condition: of scope ``time`` and ``prompt``, what the gates look at.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        adapters: list[Adapter],
        scope: Scope,
        layers: dict[str, Mixed],
        condition: Condition | None,
    ) -> None:
        self.denoiser, self.adapters, self.scope, self.layers = denoiser, adapters, scope, layers
        self.condition = condition

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

    def shares(self) -> Tensor:
        """q, each expert's mean gate over layers and batch of the last forward pass, with gradient, ``[experts]``.

        Only passes in training mode and with gradient count; reading it forgets them.
        """
        means = [layer.last for layer in self.layers.values() if layer.last is not None]
        if not means:
            raise ValueError(
                "balance_loss needs a forward pass with gradient, the denoiser in training mode, before it"
            )
        for layer in self.layers.values():
            layer.last = None
        return torch.stack(means).mean(dim=0)

    def balance_loss(self) -> Tensor:
        """`balance` of the last forward pass, see `shares`."""
        return balance(self.shares())

    def mean_gates(self) -> dict[str, Tensor]:
        """Mean gate of each layer over all images since `reset`, ``[experts]``; needs none for ``layer``.

        A loaded mixture that has seen no image answers with the means it was saved with.
        """
        if self.scope == "layer":  # such a gate looks at no input: any will do
            return {module: layer.gate(layer.weight).detach() for module, layer in self.layers.items()}
        means = {module: layer.mean_gate() for module, layer in self.layers.items()}
        known = {module: mean for module, mean in means.items() if mean is not None}
        if idle := means.keys() - known.keys():
            raise ValueError(f"mean_gates: layer '{min(idle)}' has seen no image. Run the denoiser first")
        return known

    def reset(self) -> None:
        """Forget the gates seen so far."""
        for layer in self.layers.values():
            layer.reset()

    def override(self, weights: dict[str, float] | None) -> None:
        """Put fixed weights in place of ``lambda g_i``, e.g. ``{"geometry": 0.5}``; an expert left out gets 0.

        None gives the gates their say again.
        """
        experts = [adapter.name for adapter in self.adapters]
        for name in weights or {}:
            if name not in experts:
                known = f"{', '.join(experts)}){hint(name, experts)}"
                raise ValueError(f"'{name}' is not an expert of this mixture ({known}")
        for layer in self.layers.values():
            values = None if weights is None else torch.tensor([weights.get(name, 0.0) for name in experts])
            layer.fixed = None if values is None else values.to(layer.weight.device)

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """The model is its base, and no gate remembers, while the context lasts."""
        for layer in self.layers.values():
            layer.silent = True
        try:
            yield
        finally:
            for layer in self.layers.values():
                layer.silent = False

    @contextmanager
    def masking(self, mask: Tensor | None) -> Iterator[None]:
        """Leave padding out of the text that gates pool over.

        With gradient checkpointing the backward pass, which runs the layers again, belongs inside too.

        Args:
            mask: True where a text token is not padding, ``[batch, tokens]``; None: there is no padding.
        """
        before = [reader.mask for reader in self._readers()]
        try:
            self.mask_text(mask)
            yield
        finally:
            for reader, kept in zip(self._readers(), before, strict=True):
                reader.mask = kept

    def mask_text(self, mask: Tensor | None) -> None:
        """Set the mask as `masking` does, until the next call."""
        for reader in self._readers():
            reader.mask = mask

    def _readers(self) -> list[Mixed | Condition]:
        """What looks at text: the layers that read it, or the condition in place of them."""
        if self.condition is not None:
            return [self.condition]
        known = names.of(self.denoiser)
        return [layer for module, layer in self.layers.items() if known.layout(module) is not None]

    def detach(self) -> None:
        """Put the original layers back."""
        for module, layer in self.layers.items():
            self.denoiser.set_submodule(module, layer.base)
        if self.condition is not None:
            self.condition.forget()
        delattr(self.denoiser, MASKING)


def balance(shares: Tensor) -> Tensor:
    """``-log prod_i q_i``, least where every q_i is 1/N: N log N (MoLE, Wu et al. 2024).

    Args:
        shares: q, see `Mixture.shares`.
    """
    return -shares.log().sum()


def _shape(state: dict[str, Tensor], name: str) -> list[int] | str:
    return list(state[name].shape) if name in state else "missing"


def attach(
    denoiser: nn.Module, adapters: list[Adapter], scope: Scope, scale: float = 1.0, training: bool = False
) -> Mixture:
    """Freeze a denoiser and mix experts into every layer that at least one of them adapts.

    An expert that leaves a layer alone adds nothing there, whatever its gate. A `Backbone` of this denoiser gives the
    gates the text's padding from now on.

    Args:
        denoiser: of the base model.
        adapters: the experts.
        scope: what the gates look at.
        scale: lambda of every layer before training.
        training: whether to put the denoiser into training mode, in which gates note their means.

    Raises:
        ValueError: two experts have one name, or an expert was made for another model.
    """
    if scope not in get_args(Scope):
        known = get_args(Scope)
        raise ValueError(f"'{scope}' is not a scope of a gate ({', '.join(known)}){hint(scope, known)}")
    called = [adapter.name for adapter in adapters]
    if len(set(called)) < len(called):
        raise ValueError(f"experts need names of their own (found: {', '.join(called)})")
    layers, bases = shapes(adapters), adapted(denoiser, adapters)
    denoiser.requires_grad_(False)
    ranks = [adapter.rank for adapter in adapters]
    condition = conditions.of(denoiser, scope)
    mixed = {
        module: KINDS[_kind(base)](base, *stack(adapters, module, layers[module]), ranks, scope, condition)
        for module, base in bases.items()
    }
    reading = names.of(denoiser)
    for module, layer in mixed.items():
        layer.layout = reading.layout(module) or layer.layout
        nn.init.constant_(layer.gate.scale, scale)
        denoiser.set_submodule(module, layer)
    if training:
        denoiser.train()
    made = Mixture(denoiser, adapters, scope, mixed, condition)
    setattr(denoiser, MASKING, made.masking)
    return made


KINDS: dict[type[nn.Module], type[Mixed]] = {nn.Linear: MixedLinear, nn.Conv2d: MixedConv}


def _kind(layer: nn.Module) -> type[nn.Module]:
    """Class of a layer; of one whose weight is in 4 bits that of a whole one."""
    return nn.Linear if type(layer).__name__ == "Linear4bit" else type(layer)


def adapted(denoiser: nn.Module, adapters: list[Adapter]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers of a denoiser that at least one of some experts adapts, by module name.

    Raises:
        ValueError: the denoiser lacks one, or it is of another shape or kind than can be mixed.
    """
    return {module: _base(denoiser, module, shape) for module, shape in shapes(adapters).items()}


def _base(denoiser: nn.Module, module: str, shape: tuple[int, ...]) -> nn.Linear | nn.Conv2d:
    """The layer of that name, if it is one that can be mixed and its weight has that shape."""
    model = type(denoiser).__name__
    try:
        layer = denoiser.get_submodule(module)
    except AttributeError:
        raise ValueError(
            f"the experts adapt layer '{module}', which this {model} lacks. Use the base model they were trained on"
        ) from None
    if not isinstance(layer, nn.Linear | nn.Conv2d) or _kind(layer) not in KINDS:
        raise ValueError(
            f"layer '{module}' of this {model} is a {type(layer).__module__}.{type(layer).__name__}, expected is a "
            "plain linear layer or convolution. Detach the mixture or unload the LoRA that is in it first"
        )
    if quantized.shape(layer) != tuple(shape):
        raise ValueError(
            f"the experts expect layer '{module}' to be {list(shape)}, in this {model} it is "
            f"{list(quantized.shape(layer))}. Use the base model they were trained on"
        )
    if isinstance(layer, nn.Conv2d) and (set(layer.stride) != {1} or layer.groups > 1):
        raise ValueError(
            f"layer '{module}' of this {model} has stride {layer.stride} and {layer.groups} groups: only plain "
            "convolutions of stride 1 can be mixed. Train the experts on `targets` without it"
        )
    return layer


def follows(scope: Scope, gates: dict[str, Tensor]) -> str | None:
    """Why gates cannot become one LoRA; None where they can: any E of scope ``time`` or ``prompt`` is not zero.

    Args:
        scope: what they look at.
        gates: `Mixture.state_dict`.
    """
    if scope not in ("time", "prompt") or not any(gates[name].any() for name in gates if name.endswith(".weight")):
        return None
    return (
        f"its gates follow the {'timestep' if scope == 'time' else scope} (scope: {scope}), which one ordinary LoRA "
        "cannot. Load its folder by versat2i.load, or train it with scope: layer"
    )


def collapse(mixture: Mixture, name: str, mean_gates: dict[str, Tensor] | None = None) -> Adapter:
    """Bake mean gates into one ordinary LoRA, ``sum_i lambda g_i s_i B_i A_i`` of rank ``sum_i r_i``.

    Exact for scope ``layer``; for ``token`` and ``image`` the gates no longer follow the input.

    Args:
        mixture: the trained mixture.
        name: of the result.
        mean_gates: ``[experts]`` for each layer; None: those of `Mixture.mean_gates`.

    Raises:
        ValueError: the gates follow the timestep or the prompt, which is all that they were made for.
    """
    if reason := follows(mixture.scope, mixture.state_dict()):
        raise ValueError(reason)
    gates = mixture.mean_gates() if mean_gates is None else mean_gates
    weights = {
        module: (layer.gate.scale.detach() * gates[module]).float().cpu() for module, layer in mixture.layers.items()
    }
    return concatenate(mixture.adapters, weights, name)
