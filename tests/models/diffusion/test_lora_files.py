"""A plain LoRA's file: what is read is what was written, and anything else is refused in one line."""

import dataclasses

import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from versat2i.models import diffusion
from versat2i.models.diffusion import lora_files


@pytest.fixture
def saved(model, tmp_path):
    """The folder of a LoRA and the LoRA itself."""
    adapter = dataclasses.replace(
        tiny.adapter(diffusion.load(model).denoiser, "geometry", alpha=3.0),
        metadata={"base_model": "tiny", "revision": "abc", "adapter": "geometry"},
    )
    lora_files.write(adapter, tmp_path / "geometry")
    return tmp_path / "geometry", adapter


def test_what_is_read_is_what_was_written(saved):
    folder, adapter = saved
    found = lora_files.read(folder, "renamed")
    assert (found.name, found.alpha, found.rank) == ("renamed", 3.0, 2)
    assert found.metadata == adapter.metadata
    for part, other in ((found.down, adapter.down), (found.up, adapter.up)):
        assert part.keys() == other.keys()
        assert all(torch.equal(part[module], other[module]) for module in part)


def test_the_same_lora_is_the_same_bytes(saved, tmp_path):
    folder, adapter = saved
    for attempt in range(5):  # a hash map's order is another one each time
        lora_files.write(lora_files.read(folder, adapter.name), tmp_path / str(attempt))
        assert (tmp_path / str(attempt) / lora_files.FILE).read_bytes() == (folder / lora_files.FILE).read_bytes()


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"pytorch_lora_weights.safetensors: there is no such file. Run `dvc repro`"):
        lora_files.read(tmp_path, "geometry")


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_a_file_that_is_cut_off_is_not_readable(saved, length):
    folder, _ = saved
    data = (folder / lora_files.FILE).read_bytes()
    (folder / lora_files.FILE).write_bytes(data[:length])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        lora_files.read(folder, "geometry")


def rewrite(path, change=lambda state: state, metadata=None):
    """Save a file again with other tensors or other metadata."""
    with safe_open(path, framework="pt") as file:
        kept = file.metadata() if metadata is None else metadata
    save_file(change(load_file(path)), path, kept)


@pytest.mark.parametrize(
    "metadata",
    [
        {"format": "pt"},
        {"lora_adapter_metadata": "not json"},
        {"lora_adapter_metadata": "{}"},
        {"lora_adapter_metadata": "[1]"},
        {"lora_adapter_metadata": '{"unet.lora_alpha": null}'},
    ],
)
def test_a_lora_without_alpha_is_refused(saved, metadata):
    folder, _ = saved
    rewrite(folder / lora_files.FILE, metadata=metadata)
    with pytest.raises(ValueError, match="has no LoRA alpha in its metadata; expected a file written by train_lora"):
        lora_files.read(folder, "geometry")


def test_a_lora_of_another_part_or_with_a_half_missing_is_refused(saved):
    folder, adapter = saved
    half = f"unet.{min(adapter.up)}.lora_B.weight"
    rewrite(folder / lora_files.FILE, lambda state: {key: value for key, value in state.items() if key != half})
    with pytest.raises(ValueError, match="expected a lora_A and a lora_B for each adapted layer"):
        lora_files.read(folder, "geometry")
    rewrite(
        folder / lora_files.FILE, lambda state: {key.replace("unet.", "text_encoder."): v for key, v in state.items()}
    )
    with pytest.raises(ValueError, match="expected a lora_A and a lora_B for each adapted layer"):
        lora_files.read(folder, "geometry")
