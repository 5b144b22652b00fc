"""Run a loaded pipeline as compute.yaml says: device, attention kernels, memory saved for time."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import convert_outputs_to_fp32
from diffusers import DiffusionPipeline
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from versat2i.settings.compute import Compute

logger = logging.getLogger(__name__)
KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def place(pipe: DiffusionPipeline, device: str, machine: Compute, vae_tiling: bool = False) -> None:
    """Bring a pipeline to a device; with `cpu_offload` each part only while it computes.

    Raises:
        ValueError: the pipeline's autoencoder cannot save memory as asked.
    """
    if machine.cpu_offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    asked = {"slicing": ("compute.yaml: ", machine.vae_slicing), "tiling": ("params.yaml: model.", vae_tiling)}
    for name, (where, wanted) in asked.items():
        switch = getattr(pipe.vae, f"enable_{name}", None)
        if not wanted:
            continue
        if switch is None:
            raise ValueError(f"{where}vae_{name}: a {type(pipe.vae).__name__} has none. Set it to false")
        switch()


def mixed(denoiser: Any, device: str, dtype: str | None) -> None:
    """Run the denoiser's matrix products in a smaller dtype with float32 outputs, as accelerate prepares a model.

    Sampler, loss and trained weights stay in float32, and where `multiplies_in` says no the products too.
    """
    if dtype is None:
        return
    if not multiplies_in(dtype, device):
        logger.warning("model.mixed_precision: this CPU has no products in %s, they are computed in float32", dtype)
        return
    smaller = torch.autocast(device.split(":")[0], getattr(torch, dtype))
    denoiser.forward = convert_outputs_to_fp32(smaller(denoiser.forward))


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


def multiplies_in(dtype: str, device: str) -> bool:
    """Whether a device has instructions for products in `dtype`, float16 or bfloat16; a GPU is taken to.

    A CPU without them is better off in float32: there torch's kernels of a smaller dtype take up to thirty times as
    long (a forward pass of the embedded denoiser on AMD Zen 3: 14 ms a sample in float32, 410 ms in bfloat16).
    """
    import torch

    if torch.device(device).type != "cpu":
        return True
    if not torch.backends.mkldnn.is_available():
        return False
    kernels = torch.ops.mkldnn
    asked = {"bfloat16": kernels._is_mkldnn_bf16_supported, "float16": kernels._is_mkldnn_fp16_supported}
    return bool(asked[dtype]())
