"""What a family calls the layers of its denoiser, and what each of them reads: the image, the text, or both."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

Layout = Callable[[Tensor, int], Tensor]
"""Which tokens of a layer's input are no padding, bool ``[batch, tokens]``: from the text's mask and their number."""

ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),  # of the text, where a transformer attends to both
)
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
CONVOLUTIONS = ("conv1", "conv2")  # of a UNet's residual blocks
MASKING = "masking"  # attribute of a denoiser with a mixture in it: the context that gives gates the padding mask


def text_alone(mask: Tensor, tokens: int) -> Tensor:
    """The input is the text."""
    return mask


def text_padded(mask: Tensor, tokens: int) -> Tensor:
    """The input is the text, filled up to a length of the denoiser's own."""
    return F.pad(mask, (0, max(tokens - mask.shape[1], 0)))


def text_then_image(mask: Tensor, tokens: int) -> Tensor:
    """The input is the text with its padding, then the image."""
    return F.pad(mask, (0, tokens - mask.shape[1]), value=True)


@dataclass(frozen=True)
class Layers:
    """A denoiser's layers by the ends of their names.

    Attributes:
        attention: of `targets: attention`.
        feed_forward: of `targets: feedforward`.
        convolutions: of `targets: convolutions`.
        blocks: what the names of a transformer's adapted layers start with; none: a UNet.
        reads: patterns of names with the layout of their input; what none fits reads the image alone.
    """

    attention: tuple[str, ...] = ATTENTION
    feed_forward: tuple[str, ...] = FEED_FORWARD
    convolutions: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ("transformer_blocks.",)
    reads: tuple[tuple[str, Layout], ...] = ()

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The ends of names by what `targets` in params calls them."""
        return {"attention": self.attention, "feedforward": self.feed_forward, "convolutions": self.convolutions}

    def ending(self, modules: list[str], ends: tuple[str, ...]) -> list[str]:
        """Return the layers whose names end so; of a transformer those in its blocks."""
        dotted = tuple(f".{end}" for end in ends)
        return [m for m in modules if f".{m}".endswith(dotted) and (not self.blocks or m.startswith(self.blocks))]

    def layout(self, module: str) -> Layout | None:
        """Layout of the input of a layer that reads text; None where it reads the image alone."""
        return next((layout for pattern, layout in self.reads if re.search(pattern, module)), None)


# Cross-attention's keys and values in a UNet. In a transformer of joint attention they are the layers of the
# text; its own `attn2` looks at the image once more.
CROSS = r"\.attentions\.\d+\.transformer_blocks\.\d+\.attn2\.to_[kv]$"
JOINT = r"\.attn\.(add_[qkv]_proj|to_add_out)$|\.ff_context\.net\.(0\.proj|2)$"
STABLE = Layers(convolutions=CONVOLUTIONS, blocks=(), reads=((f"{CROSS}|{JOINT}", text_alone),))  # of UNets and SD 3

_KNOWN: dict[str, Layers] = {}  # by the denoiser's class


def register(denoiser: str, layers: Layers) -> None:
    """Note the layers of a class of denoisers; a family does so when it is defined."""
    _KNOWN[denoiser] = layers


def of(denoiser: nn.Module) -> Layers:
    """The layers of a denoiser; of a class that no family has, those of Stable Diffusion."""
    return _KNOWN.get(type(denoiser).__name__, STABLE)


def denoiser_of(modules: Iterable[str]) -> str:
    """Name of the denoiser with these layers in its pipeline, also in a file of LoRA weights."""
    blocks = {"transformer_blocks.", *(block for layers in _KNOWN.values() for block in layers.blocks)}
    return "transformer" if any(module.startswith(tuple(blocks)) for module in modules) else "unet"
