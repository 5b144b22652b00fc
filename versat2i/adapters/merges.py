"""Static merges of experts into one ordinary LoRA: what a learned mixture has to beat."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from versat2i.adapters.lora import Adapter
from versat2i.seeds import stable_seed
from versat2i.settings.complaints import hint

# Share of the entries of A and B that are kept: the largest 20 % (TIES, Yadav et al. 2023, k = 20),
# a random half (DARE, Yu et al. 2024, drop rate 0.5).
DENSITY = {"svd": None, "ties": 0.2, "dare_ties": 0.5}


def merge(method: str, adapters: list[Adapter], seed: int) -> Adapter:
    """Merge experts by the name of a method.

    Args:
        method: one of ``uniform, sum, svd, ties, dare_ties``.
        adapters: the experts.
        seed: of the random drops of ``dare_ties``; the others draw nothing.
    """
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(f"'{method}' is not a way to merge experts (known: {known}){hint(method, list(METHODS))}")
    return METHODS[method](adapters, seed)


def uniform(adapters: list[Adapter]) -> Adapter:
    """The average of the experts, ``1/N sum_i s_i B_i A_i``: what an untrained mixture computes."""
    weights = torch.full((len(adapters),), 1 / len(adapters)) if adapters else torch.empty(0)
    return concatenate(adapters, dict.fromkeys(shapes(adapters), weights), "uniform")


def total(adapters: list[Adapter]) -> Adapter:
    """The sum of the experts, ``sum_i s_i B_i A_i``: every LoRA loaded at full strength."""
    return concatenate(adapters, dict.fromkeys(shapes(adapters), torch.ones(len(adapters))), "sum")


def weighted(adapters: list[Adapter], weights: Mapping[str, float], name: str) -> Adapter:
    """The weighted sum of the experts, ``sum_i w_i s_i B_i A_i``, the same w_i in every layer.

    Args:
        adapters: the experts.
        weights: w_i by the expert's name.
        name: of the result.
    """
    values = torch.tensor([weights[adapter.name] for adapter in adapters])
    return concatenate(adapters, dict.fromkeys(shapes(adapters), values), name)


def truncated(adapter: Adapter, rank: int) -> Adapter:
    """The best approximation of a LoRA by one of a lower rank and scale 1, in the sum of squares, layer by layer.

    ``B A = U S V^T`` cut to its largest `rank` singular values, the root of each in A and in B. With ``B = Q_b R_b``
    and ``A^T = Q_a R_a`` only ``R_b R_a^T``, of the LoRA's own rank, is decomposed, however large the layer.
    """
    down, up = {}, {}
    for module, a in adapter.down.items():
        b = adapter.scale * adapter.up[module]
        (q_b, r_b), (q_a, r_a) = torch.linalg.qr(b.flatten(1).float()), torch.linalg.qr(a.flatten(1).float().T)
        left, values, right = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
        roots = F.pad(values[:rank].sqrt(), (0, max(rank - len(values), 0)))
        left, right = (F.pad(part[:, :rank], (0, len(roots) - part[:, :rank].shape[1])) for part in (left, right.T))
        up[module] = (q_b @ left * roots).unflatten(1, (rank, *b.shape[2:]))
        down[module] = (q_a @ right * roots).T.unflatten(1, a.shape[1:])
    return Adapter(adapter.name, down, up, float(rank), adapter.metadata)


def concatenate(adapters: list[Adapter], weights: Mapping[str, Tensor], name: str) -> Adapter:
    """One LoRA of rank ``sum_i r_i`` and scale 1 that is exactly ``sum_i w_i s_i B_i A_i``.

    Args:
        adapters: the N experts.
        weights: for each layer, the w_i, ``[experts]``.
        name: of the result.
    """
    ranks = torch.tensor([adapter.rank for adapter in adapters])
    down, up = {}, {}
    for module, shape in shapes(adapters).items():
        down[module], side_by_side = stack(adapters, module, shape)
        columns = weights[module].repeat_interleave(ranks)
        up[module] = side_by_side * columns.view(-1, *[1] * (side_by_side.ndim - 2))
    return Adapter(name, down, up, float(ranks.sum()), _metadata(adapters, name))


def shapes(adapters: list[Adapter]) -> dict[str, tuple[int, ...]]:
    """``(d_out, d_in)``, and a convolution's kernel size, of every layer that at least one expert adapts, by name."""
    if not adapters:
        raise ValueError("there are no experts to combine: at least one is needed")
    found: dict[str, tuple[int, ...]] = {}
    for adapter in adapters:
        for module, down in adapter.down.items():
            up = adapter.up[module]
            if not down.shape[0] == up.shape[1] == adapter.rank:
                raise ValueError(
                    f"expert {adapter.name}: rank {adapter.rank} does not fit its layer '{module}' "
                    f"(A {list(down.shape)}, B {list(up.shape)}). One rank for all layers is expected."
                )
            shape = (up.shape[0], *down.shape[1:])
            if found.setdefault(module, shape) != shape:
                raise ValueError(
                    f"expert {adapter.name}: layer '{module}' is {list(shape)}, in the experts before it "
                    f"{list(found[module])}. All must be trained on the same base model."
                )
    return dict(sorted(found.items()))


def stack(adapters: list[Adapter], module: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The A_i of one layer stacked and its ``s_i B_i`` side by side, in float32.

    Returns:
        ``[sum_i r_i, d_in]`` and ``[d_out, sum_i r_i]``; of a convolution ``[sum_i r_i, d_in, k, k]`` and
        ``[d_out, sum_i r_i, 1, 1]``.
    """
    pairs = [_pair(adapter, module, shape) for adapter in adapters]
    ups = [adapter.scale * up for adapter, (_, up) in zip(adapters, pairs, strict=True)]
    return torch.cat([down for down, _ in pairs]), torch.cat(ups, dim=1)


def _pair(adapter: Adapter, module: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A and B of one layer; zeros where the expert leaves the layer alone."""
    if module not in adapter.down:
        return torch.zeros(adapter.rank, *shape[1:]), torch.zeros(shape[0], adapter.rank, *[1] * len(shape[2:]))
    return adapter.down[module].float(), adapter.up[module].float()


def _metadata(adapters: list[Adapter], name: str) -> dict[str, str]:
    """The merge's name, and what all experts say alike, such as their base model."""
    first, *others = [adapter.metadata for adapter in adapters]
    shared = {key: value for key, value in sorted(first.items()) if all(other.get(key) == value for other in others)}
    return shared | {"adapter": name}


def _by_peft(adapters: list[Adapter], seed: int, *, method: str) -> Adapter:
    """A merge by peft's ``add_weighted_adapter``, layer by layer.

    ``svd`` is the best approximation of the average by one expert's rank. ``ties`` and ``dare_ties``
    work on the entries of A and B themselves, so they need experts of equal rank.
    """
    layers = shapes(adapters)
    ranks = {adapter.name: adapter.rank for adapter in adapters}
    if method != "svd" and len(set(ranks.values())) > 1:
        raise ValueError(
            f"{method} merges experts of equal rank (found: {ranks}). Train them with one rank, or use svd."
        )
    down, up = {}, {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for module, shape in layers.items():
            # torch.manual_seed would also seed the accelerators, which are not forked
            torch.default_generator.manual_seed(stable_seed(seed, method, module))
            down[module], up[module] = _merge_layer(adapters, module, shape, method)
    return Adapter(method, down, up, float(max(ranks.values())), _metadata(adapters, method))


def _merge_layer(adapters: list[Adapter], module: str, shape: tuple[int, ...], method: str) -> tuple[Tensor, Tensor]:
    """A and B of the merge, made on a bare layer: the base model's weights play no part."""
    from peft import LoraConfig, get_peft_model

    configs = {
        f"expert{i}": LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=["0"])
        for i, adapter in enumerate(adapters)
    }
    first, *others = configs
    model = get_peft_model(nn.Sequential(_bare(shape)), configs[first], first)
    for name in others:
        model.add_adapter(name, configs[name])
    layer = model.base_model.model[0]
    for name, adapter in zip(configs, adapters, strict=True):
        down, up = _pair(adapter, module, shape)
        layer.lora_A[name].weight.copy_(down)
        layer.lora_B[name].weight.copy_(up)
    weight = 1 / len(adapters) if method == "svd" else 1.0  # ties averages by itself
    model.add_weighted_adapter(
        list(configs),
        [weight] * len(adapters),
        "merged",
        method,
        svd_full_matrices=False,
        density=DENSITY[method],
    )
    down, up = layer.lora_A["merged"].weight, layer.lora_B["merged"].weight
    return down.detach().clone(), up.detach().clone()


def _bare(shape: tuple[int, ...]) -> nn.Module:
    """A layer whose weight has that shape: ``(d_out, d_in)``, and the kernel size of a convolution."""
    d_out, d_in, *kernel = shape
    if kernel:
        return nn.Conv2d(d_in, d_out, (kernel[0], kernel[1]), bias=False)
    return nn.Linear(d_in, d_out, bias=False)


METHODS: dict[str, Callable[[list[Adapter], int], Adapter]] = {
    "uniform": lambda adapters, seed: uniform(adapters),
    "sum": lambda adapters, seed: total(adapters),
    "svd": partial(_by_peft, method="svd"),
    "ties": partial(_by_peft, method="ties"),
    "dare_ties": partial(_by_peft, method="dare_ties"),
}
