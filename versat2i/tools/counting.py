"""Count a computation without making it: its floating-point operations and the most bytes that it holds at once."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Counted:
    """What a computation takes.

    Attributes:
        flops: of matrix products, convolutions and attention, a multiplication and an addition being two.
        peak: the most bytes that tensors made on the way take at once, without what was there before, an allocator's
            losses and the scratch space of kernels.
    """

    flops: float
    peak: int


def counted(step: Callable[[], Any]) -> Counted:
    """Count a computation on tensors of the meta device, which have shapes and no content.

    Attention is counted as a fused kernel computes it, which never holds its table of scores.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Whole()
    with _as_on_a_gpu(), _Held() as held, counter:
        step()
    return Counted(float(counter.get_total_flops()), held.peak)


class _Whole:
    """In place of torch's `ModuleTracker`, whose hooks keep what checkpointed layers compute again until the end."""

    parents = frozenset({"Global"})  # what the counter calls the sum

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


class _Held(TorchDispatchMode):
    """Adds up the tensors of the meta device that are made within it and are still in use."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known = WeakIdKeyDictionary()  # storages made here, or given

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):
            self.known.setdefault(storage, None)
        found = func(*args, **(kwargs or {}))
        for storage in _storages(found):
            if storage not in self.known:
                self.known[storage] = None
                self._hold(storage.nbytes())
                weakref.finalize(storage, self._hold, -storage.nbytes())
        return found

    def _hold(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_meta]


@contextmanager
def _as_on_a_gpu() -> Iterator[None]:
    """Give the meta device what torch has for GPUs alone: attention in one kernel, and `autocast`, which changes none.

    Not by a TorchFunctionMode: in a backward pass, where checkpointed layers run again, it is switched off.
    """
    attention, autocast = F.scaled_dot_product_attention, torch.autocast
    F.scaled_dot_product_attention, torch.autocast = _attention, lambda *args, **kwargs: nullcontext()
    try:
        yield
    finally:
        F.scaled_dot_product_attention, torch.autocast = attention, autocast


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention` on ``[batch, heads, tokens, d]``; a mask may lie on another device."""
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (part.repeat_interleave(groups, dim=-3) for part in (key, value))
    bias = None
    if attn_mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        bias = query.new_empty(torch.broadcast_shapes(attn_mask.shape, (1,) * 4)).expand(shape)
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, bias, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
    )[0]
