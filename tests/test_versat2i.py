"""`versat2i.load` gives an ordinary diffusers pipeline with an adapter in place."""

import dataclasses
import subprocess
import sys

import pytest
import tiny
import torch
from diffusers import StableDiffusionPipeline

import versat2i
from versat2i import rewards
from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.work.fingerprint import ROOT

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def test_the_expert_of_a_folder_adds_its_update_to_a_layer(model, tmp_path):
    """``W x + alpha / rank B A x``, alpha 3 and rank 2."""
    base = diffusion.load(model)
    expert = dataclasses.replace(tiny.adapter(base.denoiser, "colour", rank=2, alpha=3.0), metadata=base.identity)
    lora.write(expert, tmp_path / "colour")
    pipe = versat2i.load(tmp_path / "colour")
    assert isinstance(pipe, StableDiffusionPipeline)
    layer, plain = (denoiser.get_submodule(LAYER) for denoiser in (pipe.unet, base.denoiser))
    x = torch.randn(1, 4, plain.in_features, generator=torch.Generator().manual_seed(0))
    update = x @ expert.down[LAYER].T @ expert.up[LAYER].T
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain(x) + 1.5 * update, atol=1e-4, rtol=1e-4)


def test_a_strangers_compute_yaml_is_not_read(model, tmp_path, monkeypatch):
    """In a notebook the current folder may be anybody's: what it says of devices is nothing to the pipeline."""
    base = diffusion.load(model)
    expert = dataclasses.replace(tiny.adapter(base.denoiser, "colour"), metadata=base.identity)
    lora.write(expert, tmp_path / "colour")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compute.yaml").write_text("device: cuda:7\ncpu_offload: true\nno such setting: [")
    assert versat2i.load(tmp_path / "colour").device.type == "cpu"
    assert rewards.load("aesthetic", "classical").name == "classical"


def test_a_folder_without_an_adapter_is_named(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path / "nothing")):
        versat2i.load(tmp_path / "nothing")


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, versat2i; print(sorted({'torch', 'diffusers', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
