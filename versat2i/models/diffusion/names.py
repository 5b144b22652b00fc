"""Names that diffusers gives to the layers an adapter changes, for every family."""

import re
from collections.abc import Iterable

ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),  # of the text, where a transformer attends to both
)
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
CONVOLUTIONS = ("conv1", "conv2")  # of a UNet's residual blocks
MASKING = "masking"  # attribute of a denoiser with a mixture in it: the context that gives gates the padding mask

# Cross-attention's keys and values in a UNet. In a transformer of joint attention they are the layers of the
# text; its own `attn2` looks at the image once more.
_READS_TEXT = re.compile(
    r"\.attentions\.\d+\.transformer_blocks\.\d+\.attn2\.to_[kv]$"
    r"|\.attn\.(add_[qkv]_proj|to_add_out)$|\.ff_context\.net\.(0\.proj|2)$"
)
_TRANSFORMER = "transformer_blocks."  # what the names of all adapted layers of a transformer start with


def reads_text(module: str) -> bool:
    """Whether a layer's input are the tokens of the text, not those of the image."""
    return _READS_TEXT.search(module) is not None


def denoiser_of(modules: Iterable[str]) -> str:
    """Name of the denoiser with these layers in its pipeline, also in a file of LoRA weights."""
    return "transformer" if any(module.startswith(_TRANSFORMER) for module in modules) else "unet"
