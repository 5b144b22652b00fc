"""A LoRA made elsewhere is the same update here, whatever its file calls the layers."""

import json

import pytest
import tiny_flows
import torch
from safetensors.torch import save_file

import versat2i
from versat2i.adapters import lora, lora_formats
from versat2i.models import diffusion
from versat2i.settings.params import Model

FLOWS = ("flux", "klein", "z_image", "qwen_image", "chroma", "sana", "lumina2", "krea2")


@pytest.fixture(scope="module", params=FLOWS)
def model(request, tmp_path_factory):
    folder = tiny_flows.folder(request.param, tmp_path_factory.mktemp("flow") / request.param)
    return diffusion.load(Model(path=str(folder), dtype="float32", threads=1))


@pytest.fixture(scope="module")
def expert(model):
    """A LoRA of rank 2 and alpha 3."""
    for number, parameter in enumerate(lora.attach(model.denoiser, "e", 2, 3.0, "attention", 0)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(number))
    made = lora.extract(model.denoiser, "e", 3.0, model.origin)
    model.denoiser.unload_lora()
    return made


def deltas(adapter):
    """``scale B A`` of each layer."""
    return {m: adapter.scale * adapter.up[m] @ adapter.down[m] for m in adapter.down}


def same(found, expected):
    assert found.keys() == expected.keys()
    for module, delta in expected.items():
        torch.testing.assert_close(found[module], delta)


def plain_names(adapter, start, ends=(".lora_A.weight", ".lora_B.weight"), dot="."):
    state = {start + m.replace(".", dot) + ends[0]: w for m, w in adapter.down.items()}
    return state | {start + m.replace(".", dot) + ends[1]: w.contiguous() for m, w in adapter.up.items()}


def test_diffusers_file_is_read_with_its_alpha(model, expert, tmp_path):
    lora.write(expert, tmp_path)
    same(deltas(lora_formats.read(tmp_path, "e", model)), deltas(expert))


@pytest.mark.parametrize("start", ["base_model.model.", "base_model.model.transformer.", ""])
def test_pefts_folder_is_read_with_the_config_beside_it(model, expert, start, tmp_path):
    save_file(plain_names(expert, start), tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "target_modules": ["to_q"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    same(deltas(lora_formats.read(tmp_path, "e", model)), deltas(expert))


@pytest.mark.parametrize("start", ["lora_unet_", "lora_transformer_"])
def test_kohyas_file_is_read_with_an_alpha_a_layer(model, expert, start, tmp_path):
    state = plain_names(expert, start, (".lora_down.weight", ".lora_up.weight"), "_")
    state |= {f"{start}{m.replace('.', '_')}.alpha": torch.tensor(3.0) for m in expert.down}
    save_file(state, tmp_path / "k.safetensors")
    same(deltas(lora_formats.read(tmp_path / "k.safetensors", "e", model)), deltas(expert))


def test_a_file_without_alpha_has_scale_one(model, expert, tmp_path):
    save_file(plain_names(expert, "transformer."), tmp_path / "x.safetensors")
    found = deltas(lora_formats.read(tmp_path / "x.safetensors", "e", model))
    same(found, {m: expert.up[m] @ expert.down[m] for m in expert.down})


def test_a_layer_that_the_base_lacks_is_named_with_one_like_it(model, expert, tmp_path):
    module = sorted(expert.down)[0]
    wrong = module[:-1] + "z"
    state = {
        f"transformer.{wrong}.lora_A.weight": torch.ones(2, 4),
        f"transformer.{wrong}.lora_B.weight": torch.ones(4, 2),
    }
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=rf"'transformer\.{wrong}' is not in this .*Did you mean '"):
        lora_formats.read(tmp_path / "x.safetensors", "e", model)


def test_a_layer_of_another_size_is_named_with_both_sizes(model, expert, tmp_path):
    module = sorted(expert.down)[0]
    state = plain_names(expert, "transformer.") | {f"transformer.{module}.lora_A.weight": torch.ones(2, 5)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"maps \[5\] to \d+, in this \w+ it maps \[\d+\] to"):
        lora_formats.read(tmp_path / "x.safetensors", "e", model)


@pytest.mark.parametrize(
    ("key", "kind"), [("x.lokr_w1", "a LoKr"), ("x.dora_scale", "a DoRA"), ("lora_te1_x.alpha", "text encoder")]
)
def test_what_is_no_plain_lora_of_a_denoiser_is_refused_by_name(model, expert, key, kind, tmp_path):
    save_file(plain_names(expert, "transformer.") | {key: torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=kind):
        lora_formats.read(tmp_path / "x.safetensors", "e", model)


def test_load_puts_it_on_the_base_that_is_named(model, expert, tmp_path):
    save_file(plain_names(expert, "transformer."), tmp_path / "x.1.safetensors")
    pipe = versat2i.load(tmp_path / "x.1.safetensors", base=model.identity["base_model"])
    found = lora.extract(pipe.transformer, "x_1_safetensors", 2.0, {})
    same(deltas(found), {m: expert.up[m] @ expert.down[m] for m in expert.down})
