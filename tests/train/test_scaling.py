"""Gradients in float16 are those in float32, however many numbers the loss is a mean of."""

from functools import partial

import drawn
import pytest
import tiny
import torch

from versat2i.adapters import lora, mixture
from versat2i.models import diffusion
from versat2i.models.diffusion import running
from versat2i.train import loop, losses

SIZES = {"one image of the tests": 4 * 16 * 16, "sd15": 16 * 4 * 64 * 64, "sdxl": 32 * 4 * 128 * 128}
TEXTS = list(drawn.TEXTS.values())


def adapted(model):
    """The parameters of a LoRA that is no longer nothing."""
    parameters = lora.attach(model.denoiser, "colour", 2, 2.0, "attention", 0)
    for number, parameter in enumerate(parameters):
        torch.nn.init.normal_(parameter, 0, 0.1, torch.Generator().manual_seed(number))
    return parameters


def gated(model, scope):
    """The parameters of gates that have moved, over two experts."""
    experts = [tiny.adapter(model.denoiser, name, alpha=0.1) for name in ("colour", "form")]
    mixed = mixture.attach(model.denoiser, experts, scope)
    for number, parameter in enumerate(mixed.parameters()):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return mixed.parameters()


def gradient(settings, put, objective, elements, **dtypes):
    """The gradient, as one vector, of a loss divided as if it were a mean over that many elements."""
    model = diffusion.load(settings.model_copy(update=dtypes))
    parameters = put(model)
    rule = drawn.settings(settings).train_lora["colour"].model_copy(update={"objective": objective})
    pair = (2,) if objective == "contrast" else ()
    latents = torch.randn(len(TEXTS), *pair, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompts = model.embed(TEXTS)
    batch = losses.Examples(latents, prompts, prompts[:1], torch.ones(len(TEXTS)))
    loss = losses.objective(model, rule, lambda: lora.detached(model.denoiser))(batch, torch.Generator().manual_seed(2))
    loop.backward(loss * (latents[:, 0].numel() if pair else latents.numel()) / elements, parameters)
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


GATES = {scope: (partial(gated, scope=scope), "sft") for scope in ("token", "image", "layer")}
TRAINED = {"lora": (adapted, "sft"), "contrast": (adapted, "contrast"), **GATES}


@pytest.mark.parametrize("elements", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(("put", "objective"), TRAINED.values(), ids=TRAINED)
def test_the_gradient_in_float16_is_that_in_float32(model, put, objective, elements):
    same(*(gradient(model, put, objective, elements, dtype=dtype) for dtype in ("float16", "float32")))


def test_the_gradient_of_products_in_float16_is_that_in_float32(model, monkeypatch):
    monkeypatch.setattr(running, "multiplies_in", lambda dtype, device: True)
    same(*(gradient(model, adapted, "sft", SIZES["sdxl"], mixed_precision=dtype) for dtype in ("float16", None)))


def same(half, whole):
    assert torch.isfinite(half).all() and whole.norm() > 0
    assert torch.cosine_similarity(half, whole, dim=0) > 0.999
    assert half.norm() == pytest.approx(whole.norm().item(), rel=0.01)
