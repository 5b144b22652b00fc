"""An exported adapter is the same LoRA in diffusers' and in kohya's names."""

import dataclasses

import numpy as np
import pytest
import tiny
import torch
from diffusers import StableDiffusionPipeline

from versat2i.adapters import lora, mixture, mixture_files
from versat2i.formats import tensors
from versat2i.models import diffusion
from versat2i.models.diffusion import names
from versat2i.tools import export


@pytest.fixture(params=[names.ATTENTION, names.CONVOLUTIONS], ids=["attention", "convolutions"])
def expert(request, model, tmp_path):
    """A LoRA whose alpha is not its rank, saved as `train_lora` does."""
    loaded = diffusion.load(model)
    adapter = tiny.adapter(loaded.denoiser, "geometry", rank=2, alpha=0.5, targets=request.param)
    adapter = dataclasses.replace(adapter, metadata=loaded.identity)
    lora.write(adapter, tmp_path / "geometry")
    return tmp_path / "geometry"


def draw(folder, weights=None):
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    if weights is not None:
        pipe.load_lora_weights(str(weights.parent), weight_name=weights.name)
    return pipe(
        "a red circle", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np"
    ).images


def test_both_files_draw_what_the_adapter_draws(expert, model_folder, tmp_path):
    base, expected = draw(model_folder), draw(model_folder, expert / lora.FILE)
    assert np.abs(expected - base).max() > 1e-3
    plain, kohya = export.export(expert, tmp_path / "out")
    np.testing.assert_array_equal(draw(model_folder, plain), expected)
    np.testing.assert_allclose(draw(model_folder, kohya), expected, atol=1e-5)


def test_kohya_names_and_alpha_convert_back_to_the_same_tensors(expert, tmp_path):
    _, kohya = export.export(expert, tmp_path / "out")
    adapter, (state, _) = lora.read(expert, "geometry"), tensors.read(kohya)
    assert len(state) == 3 * len(adapter.down)
    for module in adapter.down:
        layer = f"lora_unet_{module.replace('.', '_')}"
        assert torch.equal(state[f"{layer}.lora_down.weight"], adapter.down[module])
        assert torch.equal(state[f"{layer}.lora_up.weight"], adapter.up[module])
        assert state[f"{layer}.alpha"].item() == 0.5


def test_the_files_say_what_they_are(expert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train_lora@geometry:\n    cmd: x\n    outs:\n    - {path: geometry, md5: abc.dir}\n"
    )
    for path in export.export(expert.relative_to(tmp_path), tmp_path / "out"):
        _, metadata = tensors.read(path)
        wanted = {
            "ss_network_dim": "2",
            "ss_network_alpha": "0.5",
            "ss_network_module": "networks.lora",
            "aspect": "geometry",
            "dvc_hash": "abc.dir",
        }
        assert wanted.items() <= metadata.items() and {"base_model", "revision"} <= metadata.keys()
        assert metadata["ss_base_model_version"] == metadata["base_model"]  # of no family that kohya knows


@pytest.mark.parametrize(("width", "version"), [(768, "sd_v1"), (1024, "sd_v2"), (2048, "sdxl_base_v1-0")])
def test_the_family_is_told_by_the_width_of_the_text(width, version, tmp_path):
    module = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    adapter = lora.Adapter("a", {module: torch.zeros(1, width)}, {module: torch.zeros(4, 1)}, 1.0)
    assert export.labels(adapter, tmp_path)["ss_base_model_version"] == version


def test_a_mixture_is_exported_collapsed(model, model_folder, tmp_path):
    """Exact for gates that look at nothing."""
    loaded = diffusion.load(model)
    experts = [tiny.adapter(loaded.denoiser, name, alpha=0.2) for name in ("colour", "form")]
    mixed = mixture.attach(loaded.denoiser, experts, "layer")
    for number, parameter in enumerate(mixed.parameters()):
        parameter.data += 0.1 * (number % 3)
    mixture_files.save(mixed, tmp_path / "mixture", loaded.identity)
    plain, kohya = export.export(tmp_path / "mixture", tmp_path / "out")
    lora.write(mixture.collapse(mixed, "mixture"), tmp_path / "collapsed")
    expected = draw(model_folder, tmp_path / "collapsed" / lora.FILE)
    for path in (plain, kohya):
        np.testing.assert_allclose(draw(model_folder, path), expected, atol=1e-4)


def test_a_damaged_lock_file_is_named(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: [1, 2")
    with pytest.raises(ValueError, match=r"dvc.lock: not DVC's lock file"):
        export.dvc_hash(tmp_path, tmp_path / "dvc.lock")
