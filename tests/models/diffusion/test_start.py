"""Earlier rounds in a base: its weights plus theirs, known by bytes and order, refused where they do not belong."""

import dataclasses
from pathlib import Path

import pytest
import rounds_made
import torch
from torch import nn

from versat2i.models import diffusion
from versat2i.models.diffusion import lora_files, start

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture
def two(model, tmp_path):
    """The base with two rounds in it."""
    once = rounds_made.make(model, tmp_path / "rounds/1", "one")
    return rounds_made.make(once, tmp_path / "rounds/2", "two", rank=3)


def updates(model, module):
    """What each round adds to a layer, by the formula ``alpha / rank * B A``."""
    read = [lora_files.read(Path(folder), folder) for folder in model.start]
    return [each.alpha / each.rank * (each.up[module] @ each.down[module]) for each in read]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_the_bases_plus_each_rounds_update_summed_in_float32_and_rounded_once(model, two, dtype):
    base = diffusion.load(model.model_copy(update={"dtype": dtype})).denoiser.get_submodule(LAYER).weight
    found = diffusion.load(two.model_copy(update={"dtype": dtype})).denoiser.get_submodule(LAYER).weight
    first, second = updates(two, LAYER)
    assert torch.equal(found, (base.float() + first + second).to(base.dtype))
    assert not torch.equal(found, base)


def test_a_convolution_gets_its_update_too(model, tmp_path):
    loaded = diffusion.load(model)
    module = "mid_block.resnets.0.conv1"
    weight = loaded.denoiser.get_submodule(module).weight.detach().clone()
    down, up = torch.randn(2, *weight.shape[1:]), torch.randn(len(weight), 2, 1, 1)
    adapter = lora_files.Adapter("conv", {module: down}, {module: up}, 1.0, loaded.origin)
    lora_files.write(adapter, tmp_path / "conv")
    found = diffusion.load(model.model_copy(update={"start": (str(tmp_path / "conv"),)}))
    expected = weight + 0.5 * torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
    torch.testing.assert_close(found.denoiser.get_submodule(module).weight, expected)


def test_rounds_are_part_of_the_identity_by_their_bytes_and_order(model, two):
    plain, both = diffusion.identity(model), diffusion.identity(two)
    assert "start" not in plain and {**both, "start": ""} == {**plain, "start": ""}
    reversed_ = two.model_copy(update={"start": two.start[::-1]})
    assert lora_files.hashes(diffusion.identity(reversed_)) == lora_files.hashes(both)[::-1]
    assert [folder for folder, _ in lora_files.rounds(both)] == list(two.start)


def complaint(model):
    with pytest.raises(ValueError) as error:
        diffusion.load(model)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_round_that_is_missing_names_the_folder_and_says_what_to_run(model):
    missing = model.model_copy(update={"start": ("rounds/7",)})
    expected = "model.start: there is no folder rounds/7. Run `dvc pull rounds/7.dvc`, or leave it out of `start`"
    assert complaint(missing) == expected
    with pytest.raises(ValueError, match="there is no folder rounds/7"):
        diffusion.identity(missing)


def test_a_round_of_another_base_is_refused(model, two, tmp_path):
    folder = tmp_path / "other"
    adapter = lora_files.read(tmp_path / "rounds/1", "one")
    lora_files.write(dataclasses.replace(adapter, metadata={**adapter.metadata, "revision": "other"}), folder)
    text = complaint(model.model_copy(update={"start": (str(folder),)}))
    assert text.startswith(f"{folder}: made for ") and "at revision other" in text


def test_rounds_in_the_wrong_order_or_with_one_left_out_are_refused(two):
    one, second = two.start
    text = complaint(two.model_copy(update={"start": (second, one)}))
    assert f"{second} was made on {one}, but stands after the first base" in text
    text = complaint(two.model_copy(update={"start": (second,)}))
    assert f"{second} was made on {one}, but stands after the first base" in text


def test_a_round_that_has_changed_since_is_refused_by_those_made_after_it(two, tmp_path):
    adapter = lora_files.read(tmp_path / "rounds/1", "one")
    lora_files.write(dataclasses.replace(adapter, alpha=9.0), tmp_path / "rounds/1")
    assert "as they were then" in complaint(two)


class Eighth(nn.Module):
    """A linear layer whose weights are kept as whole numbers."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.scale = linear.weight.abs().max() / 127
        self.weight = nn.Parameter((linear.weight / self.scale).round().to(torch.int8), requires_grad=False)

    def forward(self, x):
        return nn.functional.linear(x, self.weight.float() * self.scale)


def test_a_quantised_layer_keeps_its_weights_and_the_rounds_run_beside_it_frozen(model, two):
    denoiser = diffusion.load(model).denoiser
    denoiser.set_submodule(LAYER, Eighth(denoiser.get_submodule(LAYER)))
    layer = denoiser.get_submodule(LAYER)
    kept, x = layer.weight.clone(), torch.randn(2, 5, layer.in_features)
    before = layer(x)
    start.fuse(denoiser, two.start, diffusion.identity(two))
    expected = before + sum(x @ update.T for update in updates(two, LAYER))
    assert torch.equal(layer.weight, kept)
    torch.testing.assert_close(layer(x), expected)
    assert not [name for name, _ in layer.named_parameters() if name != "weight"] and set(layer.state_dict()) == {
        "weight"
    }
