"""How a loaded pipeline runs on this machine, as compute.yaml says: place, kernels, memory saved for time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import convert_outputs_to_fp32
from diffusers import DiffusionPipeline
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from versat2i.compute import Compute

KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def place(pipe: DiffusionPipeline, device: str, machine: Compute) -> None:
    """Bring a pipeline to a device; with `cpu_offload` each part only while it computes.

    Raises:
        ValueError: the pipeline's autoencoder cannot save memory as asked.
    """
    if machine.cpu_offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    for name, wanted in (("slicing", machine.vae_slicing), ("tiling", machine.vae_tiling)):
        switch = getattr(pipe.vae, f"enable_{name}", None)
        if not wanted:
            continue
        if switch is None:
            raise ValueError(f"compute.yaml: vae_{name}: a {type(pipe.vae).__name__} has none. Leave it out")
        switch()


def mixed(denoiser: Any, device: str, dtype: torch.dtype | None) -> None:
    """Have the denoiser compute its products in a smaller dtype and answer in float32, as accelerate prepares a model.

    Sampler, loss and trained weights stay in float32.
    """
    if dtype is not None:
        denoiser.forward = convert_outputs_to_fp32(torch.autocast(device.split(":")[0], dtype)(denoiser.forward))


class WideAttention(TorchFunctionMode):
    """On a CPU, attention in float32 within a model of a smaller dtype, for training.

    Backwards, torch's kernel for bfloat16 takes up to three times as long there: 38 ms for 14 with 32 x 4 heads of 256
    queries and 32 keys.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        chosen = _wide_attention if function is F.scaled_dot_product_attention else function
        return chosen(*args, **(kwargs or {}))


def _wide_attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Tensor:
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, *rest, **options)
    dtype = torch.promote_types(query.dtype, torch.float32)
    wide = [tensor.to(dtype) for tensor in (query, key, value)]
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(*wide, *rest, **options).to(query.dtype)


def compiled(denoiser: Any, machine: Compute) -> None:
    """Have torch compile the denoiser when it is first called: with its adapters, which are put in before."""
    if machine.compile:
        denoiser.compile()


def checkpointed(denoiser: Any, machine: Compute, context: Callable[[], AbstractContextManager[None]]) -> None:
    """In training, keep no activation within a block of the denoiser and compute them again on the way back.

    Args:
        denoiser: of the pipeline.
        machine: whether to do so.
        context: asked for at each block's first pass: in what its second pass, outside of the call that made the
            first, has to run.
    """

    def run(module: Any, *arguments: Any) -> Any:
        again = context()
        return checkpoint(module.__call__, *arguments, use_reentrant=False, context_fn=lambda: (nullcontext(), again))

    if machine.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing(run)


@contextmanager
def attention(kernel: str) -> Iterator[None]:
    """Attention by this kernel of torch's while the context lasts; `auto` leaves the choice to torch.

    Raises:
        ValueError: the kernel does not run here.
    """
    if kernel == "auto":
        yield
        return
    try:
        with sdpa_kernel(KERNELS[kernel]):
            yield
    except RuntimeError as error:
        if "scaled_dot_product_attention" not in str(error) and "No available kernel" not in str(error):
            raise
        raise ValueError(
            f"compute.yaml: attention: {kernel} does not run this model on this device in its dtype. Write "
            "`attention: auto`"
        ) from None
