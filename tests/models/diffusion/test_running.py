"""What compute.yaml says of memory and speed changes how a model runs, never what it draws or learns."""

import contextlib
from functools import partial

import numpy as np
import pytest
import tiny_families
import torch
from diffusers import StableDiffusionPipeline

from versat2i.adapters import lora, mixture
from versat2i.models import diffusion
from versat2i.models.diffusion import running
from versat2i.settings import compute
from versat2i.settings.params import Model
from versat2i.train import losses

TEXTS = ["a red circle", "two pink hearts on a navy background"]


@pytest.fixture(scope="module", params=tiny_families.FAMILIES)
def folder(request, tmp_path_factory):
    return tiny_families.folder(request.param, tmp_path_factory.mktemp("family") / request.param)


@pytest.fixture
def load(folder):
    """Load the family's model under some settings of compute.yaml, in tiles if asked for."""
    return partial(loaded, folder)


def images(model):
    return model.decode(model.draw(model.embed(TEXTS), model.embed([""]), [7, 8], 2, 3.0))


def gradients(model, parameters):
    """Of the loss of one batch, after a second that shows whether anything of the first is left."""
    channels = model.pipe.vae.config.latent_channels
    latents = torch.randn(2, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    prompts = model.embed(TEXTS)
    model.denoiser.train()
    for number in range(2):
        losses.diffusion_loss(model, latents, prompts, torch.Generator().manual_seed(number), None).backward()
    return [parameter.grad for parameter in parameters]


def adapter(model, name):
    for number, parameter in enumerate(lora.attach(model.denoiser, name, 2, 3.0, "attention", 0)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(number))
    return lora.extract(model.denoiser, name, 3.0, model.identity)


def gates(model, experts):
    """Gates of a mixture that have moved."""
    mixed = mixture.attach(model.denoiser, experts, "image")
    for number, parameter in enumerate(mixed.parameters()):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return mixed.parameters()


@pytest.mark.parametrize(
    "settings",
    [{"cpu_offload": True}, {"attention": "math"}, {"vae_slicing": True}, {"vae_tiling": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_images_stay_what_they_are(load, settings):
    found, expected = images(load(**settings)), images(load())
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)


def test_gradients_stay_what_they_are_where_activations_are_computed_again(load):
    """Those of a mixture too, whose gates pool over the text without its padding."""
    found, expected = load(gradient_checkpointing=True), load()
    same(*(gradients(m, lora.attach(m.denoiser, "colour", 2, 3.0, "attention", 0)) for m in (found, expected)))
    experts = [adapter(load(), name) for name in ("colour", "form")]
    found, expected = load(gradient_checkpointing=True), load()
    same(*(gradients(model, gates(model, experts)) for model in (found, expected)))


def same(found, expected):
    assert any(gradient.abs().max() > 1e-6 for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    return tiny_families.folder("sd15", tmp_path_factory.mktemp("sd15") / "sd15")


def loaded(folder, vae_tiling=False, **machine):
    model = Model(path=str(folder), dtype="float32", threads=1, vae_tiling=vae_tiling)
    return diffusion.load(model, compute.CPU.model_copy(update=machine))


def test_blocks_are_run_again_only_where_that_is_asked_for(sd15, monkeypatch):
    model = loaded(sd15, gradient_checkpointing=True)
    calls, checkpoint = [], running.checkpoint
    monkeypatch.setattr(running, "checkpoint", lambda *args, **options: calls.append(1) or checkpoint(*args, **options))
    with torch.no_grad():
        model.predict(torch.zeros(1, 4, 16, 16), torch.tensor([5]), model.embed(TEXTS[:1]))
    assert not calls
    gradients(model, lora.attach(model.denoiser, "colour", 2, 3.0, "attention", 0))
    assert calls


def test_parts_that_wait_in_main_memory_train_the_same(sd15, monkeypatch):
    found = []
    for offload in (True, False):
        model = loaded(sd15, cpu_offload=offload)
        found.append(gradients(model, lora.attach(model.denoiser, "colour", 2, 3.0, "attention", 0)))
    same(*found)


def test_the_device_that_parts_wait_for_is_the_one_asked_for(sd15, monkeypatch):
    asked = []
    monkeypatch.setattr(StableDiffusionPipeline, "enable_model_cpu_offload", lambda pipe, device: asked.append(device))
    model = loaded(sd15, cpu_offload=True, device="cuda:1")
    assert asked == ["cuda:1"] and all(part.device.type == "cpu" for part in model.parts)


def test_the_denoiser_is_compiled_when_it_is_first_called(sd15, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    for wanted in (False, True):
        model = loaded(sd15, compile=wanted)
        assert compiled == ([model.denoiser] if wanted else [])


def test_slicing_and_tiling_are_switched_on(sd15, monkeypatch):
    vae = loaded(sd15, vae_tiling=True, vae_slicing=True).pipe.vae
    assert vae.use_slicing and vae.use_tiling
    vae = loaded(sd15).pipe.vae
    assert not vae.use_slicing and not vae.use_tiling


def test_a_kernel_that_does_not_run_here_is_one_line(sd15, monkeypatch):
    model = loaded(sd15, attention="cudnn")
    with pytest.raises(ValueError, match=r"compute.yaml: attention: cudnn does not run .* Write `attention: auto`"):
        images(model)


def test_another_error_within_attention_is_left_as_it_is():
    with pytest.raises(RuntimeError, match="out of memory"), running.attention("math"):
        raise RuntimeError("out of memory")


def test_every_kernel_of_compute_yaml_is_one_of_torch():
    kernels = compute.Compute.model_fields["attention"].annotation.__args__
    assert set(kernels) == {"auto", *running.KERNELS}
    for kernel in kernels:
        with running.attention(kernel), contextlib.nullcontext():
            pass


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_gpu_multiplies_in_a_smaller_dtype_and_a_cpu_where_it_has_instructions(dtype, monkeypatch):
    import torch

    assert running.multiplies_in(dtype, "cuda:1") and running.multiplies_in(dtype, "mps")
    kernels = "_is_mkldnn_bf16_supported" if dtype == "bfloat16" else "_is_mkldnn_fp16_supported"
    for answer in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, kernels, lambda answer=answer: answer)
        assert running.multiplies_in(dtype, "cpu") is answer
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not running.multiplies_in(dtype, "cpu")
