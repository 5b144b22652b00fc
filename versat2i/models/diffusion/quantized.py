"""A denoiser whose linear layers keep their weights in 4 bits: NF4 (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

Blocks of 64 weights are divided by their largest and rounded to 16 quantiles of a normal distribution. Products are
computed in the model's own dtype; LoRAs beside the layers stay in float32. `bitsandbytes` does it, on a CPU too, where
the quantisation configs of diffusers refuse to; and earlier rounds are in the weights before they are rounded.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

PACKED = {"quant_type": "nf4", "compress_statistics": False}  # as diffusers has it
KEY = "quantize"
"""Of the model's identity."""


def identity(kind: str | None) -> dict[str, str]:
    """Identity of a base in 4 bits; empty for one whose weights are whole."""
    return {KEY: kind} if kind else {}


def quantize(denoiser: Any, device: str, dtype: torch.dtype) -> None:
    """Round the weights of a denoiser's linear layers, which move to a device one by one.

    Args:
        denoiser: frozen from now on.
        device: where it will run; CPU and GPU may round differently.
        dtype: of the products.

    Raises:
        ValueError: bitsandbytes is not installed.
    """
    bnb = _bitsandbytes()
    for name, layer in _layers(denoiser):
        sizes = (layer.in_features, layer.out_features, layer.bias is not None)
        with torch.device("meta"):
            made = bnb.nn.Linear4bit(*sizes, compute_dtype=dtype, **PACKED)
        made.weight = bnb.nn.Params4bit(layer.weight.detach(), requires_grad=False, **PACKED)
        made.bias = layer.bias
        made.support_avx512bf16_for_cpu = False  # else inputs are rounded to bfloat16, and few sizes are possible
        denoiser.set_submodule(name, made.to(device))
    denoiser.is_loaded_in_4bit = True  # peft asks


def _layers(denoiser: nn.Module) -> list[tuple[str, nn.Linear]]:
    """Linear layers by name, but those that the denoiser wants in float32."""
    whole = tuple(getattr(denoiser, "_keep_in_fp32_modules", None) or ())
    linear = [(name, layer) for name, layer in denoiser.named_modules() if type(layer) is nn.Linear]
    return [(name, layer) for name, layer in linear if not any(part in name.split(".") for part in whole)]


def size(denoiser: nn.Module) -> int:
    """Bytes of a whole denoiser once it is quantised, and of its largest layer's weight, unpacked for a product.

    A weight takes 4 bits, a block of 64 a scale of 32 bits.
    """
    weights = [layer.weight for _, layer in _layers(denoiser)]
    packed = sum(math.ceil(w.numel() / 2) + 4 * math.ceil(w.numel() / 64) for w in weights)
    rest = sum(p.nbytes for p in denoiser.parameters()) - sum(w.nbytes for w in weights)
    return packed + rest + max((w.nbytes for w in weights), default=0)


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError:
        raise ValueError(
            "model.quantize: nf4 needs a package that is not installed; run `make nf4`, or please install versat2i[nf4]"
        ) from None
    return bitsandbytes


def is_quantized(denoiser: nn.Module) -> bool:
    """Whether `quantize` has rounded its weights."""
    return bool(getattr(denoiser, "is_loaded_in_4bit", False))


def shape(layer: Any) -> tuple[int, ...]:
    """Shape of a layer's weight, however it is packed."""
    state = getattr(layer.weight, "quant_state", None)
    return tuple(layer.weight.shape if state is None else state.shape)


def like(layer: Any, tensor: Tensor) -> Tensor:
    """Move a tensor to a layer's device and to the dtype of its products."""
    packed = getattr(layer.weight, "quant_state", None) is not None
    return tensor.to(layer.weight.device, layer.compute_dtype) if packed else tensor.to(layer.weight)
