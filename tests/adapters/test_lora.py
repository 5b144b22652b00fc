"""A LoRA starts as nothing, and a saved one is the trained one wherever it is read."""

from typing import get_args

import pytest
import tiny
import torch
from diffusers import StableDiffusionPipeline

from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.settings.params import Model
from versat2i.settings.training import TrainLora


@pytest.fixture
def loaded(model):
    return diffusion.load(model)


def inputs():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 4, 16, 16, generator=generator),
        torch.tensor([10, 900]),
        torch.randn(2, 24, 16, generator=generator),
    )


def run(denoiser):
    with torch.no_grad():
        return denoiser(*inputs()).sample


def trained(denoiser, name="geometry", targets="attention", alpha=3.0):
    """A LoRA whose weights have all been moved."""
    parameters = lora.attach(denoiser, name, 2, alpha, targets, seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return lora.extract(denoiser, name, alpha, {"base_model": "tiny", "revision": "abc", "adapter": name})


def test_a_new_lora_changes_nothing_and_is_all_that_is_trained(loaded):
    before = run(loaded.denoiser)
    parameters = lora.attach(loaded.denoiser, "geometry", 2, 2.0, "attention", seed=0)
    assert torch.equal(run(loaded.denoiser), before)
    wanted = {name for name, p in loaded.denoiser.named_parameters() if p.requires_grad}
    assert len(wanted) == len(parameters) and all(".lora_A." in name or ".lora_B." in name for name in wanted)
    assert all(parameter.dtype == torch.float32 for parameter in parameters)


def test_the_lora_of_a_half_precision_model_is_trained_in_float32(model):
    half = diffusion.load(model.model_copy(update={"dtype": "bfloat16"}))
    parameters = lora.attach(half.denoiser, "geometry", 2, 2.0, "attention", seed=0)
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert half.denoiser.dtype == torch.bfloat16


@pytest.mark.parametrize(("targets", "layers"), [("attention", 8), ("attention+feedforward", 10)])
def test_every_block_has_all_its_targets_adapted(loaded, targets, layers):
    adapter = trained(loaded.denoiser, targets=targets)
    blocks = {module.partition(".transformer_blocks.0.")[0] for module in adapter.down}
    expected = [module for module, _ in loaded.denoiser.named_modules() if module.endswith("transformer_blocks.0")]
    assert len(blocks) == len(expected) > 0
    assert len(adapter.down) == layers * len(blocks)  # 4 a self-attention, 4 a cross-attention, 2 a feed-forward
    assert adapter.rank == 2 and adapter.scale == 1.5


def test_attach_draws_by_its_seed_and_leaves_the_global_random_state_alone(model):
    def start(seed):
        return [p.detach() for p in lora.attach(diffusion.load(model).denoiser, "geometry", 2, 2.0, "attention", seed)]

    before = torch.get_rng_state()
    first = start(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)  # whatever was drawn meanwhile
    assert all(torch.equal(a, b) for a, b in zip(first, start(0), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, start(1), strict=True))


TARGETS = get_args(TrainLora.model_fields["targets"].annotation)


@pytest.mark.parametrize("targets", TARGETS)
def test_plain_diffusers_loads_what_was_trained(loaded, model_folder, tmp_path, targets):
    base = run(loaded.denoiser)
    lora.write(trained(loaded.denoiser, targets=targets), tmp_path)
    plain = StableDiffusionPipeline.from_pretrained(model_folder)
    plain.load_lora_weights(str(tmp_path))
    expected = run(loaded.denoiser)
    assert (expected - base).abs().max() > 0.01
    torch.testing.assert_close(run(plain.unet), expected)


def test_a_lora_with_weights_is_put_in_beside_others_and_alone_active(model):
    """As merged into the weights: ``W + scale B A``."""
    denoiser, plain = (diffusion.load(model).denoiser for _ in range(2))
    other, own = (tiny.adapter(plain, name, alpha=0.3, targets=("to_q", "conv1")) for name in ("form", "colour"))
    state = torch.get_rng_state()
    lora.insert(denoiser, other)
    parameters = lora.insert(denoiser, own)
    assert torch.equal(torch.get_rng_state(), state)
    assert {id(p) for p in denoiser.parameters() if p.requires_grad} == {id(p) for p in parameters}
    for module, down in own.down.items():
        weight = plain.get_submodule(module).weight
        update = own.scale * own.up[module].flatten(1) @ down.flatten(1)
        weight.data += update.view_as(weight)
    torch.testing.assert_close(run(denoiser), run(plain), atol=1e-5, rtol=1e-5)


def test_targets_that_match_no_layer_are_an_error_that_says_what_matches(loaded):
    bare = torch.nn.ModuleDict({"to_q": torch.nn.Linear(2, 2)})
    bare.add_module("block", torch.nn.ModuleDict({"conv1": torch.nn.Conv2d(2, 2, 1)}))
    with pytest.raises(ValueError) as error:
        lora.attach(bare, "geometry", 2, 2.0, "attention+feedforward", 0)
    assert str(error.value) == (
        "train_lora: targets: attention+feedforward: no layer of this ModuleDict is of 'feedforward' (it has "
        "attention, convolutions); name only kinds that it has"
    )
    with pytest.raises(ValueError, match="it has none of these"):
        lora.attach(torch.nn.Linear(2, 2), "geometry", 2, 2.0, "attention", 0)


def test_the_model_is_loaded_in_the_dtype_of_params(model_folder):
    half = diffusion.load(Model(path=str(model_folder), dtype="float16", threads=1))
    assert {part.dtype for part in (half.pipe.unet, half.pipe.vae, half.pipe.text_encoder)} == {torch.float16}
