"""A mixture of three random experts in a tiny denoiser."""

import tiny
import torch

from versat2i.adapters import mixture

INPUTS = ("token", "image", "layer")  # scopes of gates that need no more than their layer's input
SCOPES = (*INPUTS, "time", "prompt")
CONV = "down_blocks.1.resnets.0.conv1"
Q, TEXT_K = (f"mid_block.attentions.0.transformer_blocks.0.{name}" for name in ("attn1.to_q", "attn2.to_k"))


def experts(model):
    """Different ranks and scales; the last one leaves most layers alone,
    the second one adapts convolutions too."""
    return [
        tiny.adapter(model, "aesthetic", rank=2, alpha=1.0),
        tiny.adapter(model, "geometry", rank=3, alpha=2.0, targets=tiny.ATTENTION + tiny.CONVOLUTIONS),
        tiny.adapter(model, "quality", rank=1, alpha=1.5, targets=("to_q",)),
    ]


def attach(scope, seed=0, spread=0.0):
    """A mixture in a tiny denoiser; gates are random with that spread."""
    model = tiny.unet(seed)
    mixed = mixture.attach(model, experts(model), scope)
    generator = torch.Generator().manual_seed(1)
    for parameter in mixed.parameters():
        parameter.data += spread * torch.randn(parameter.shape, generator=generator)
    return model, mixed


def inputs(batch=2, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, 4, size, size, generator=generator)
    return latents, torch.arange(batch) * 100, torch.randn(batch, 6, tiny.TEXT_DIM, generator=generator)


def run(model, *args):
    with torch.no_grad():
        return model(*(args or inputs())).sample
