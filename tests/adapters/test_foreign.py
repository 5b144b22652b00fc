"""LoRAs of other tools are read as the experts that they are, or refused in one line."""

import dataclasses
import json

import pytest
import tiny_flows
import torch
from diffusers.utils import convert_state_dict_to_kohya

from versat2i.adapters import foreign, loading, lora, lora_formats, mixture
from versat2i.formats import tensors
from versat2i.models import diffusion
from versat2i.settings.params import Model


def made(model, rank=2, alpha=3.0):
    """A LoRA on a model's attention whose weights have all been moved."""
    for number, parameter in enumerate(lora.attach(model.denoiser, "style", rank, alpha, "attention", 0)):
        torch.nn.init.normal_(parameter, 0, 0.3, torch.Generator().manual_seed(number))
    adapter = lora.extract(model.denoiser, "style", alpha, {})
    model.denoiser.unload_lora()
    return adapter


@pytest.fixture
def loaded(model):
    return diffusion.load(model)


@pytest.fixture
def style(loaded):
    return made(loaded)


def by_peft(adapter, folder, **config):
    state = {f"base_model.model.{module}.lora_A.weight": weight for module, weight in adapter.down.items()}
    state |= {f"base_model.model.{module}.lora_B.weight": weight for module, weight in adapter.up.items()}
    tensors.write(state, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": adapter.rank, "lora_alpha": adapter.alpha, "bias": "none"} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def by_diffusers(adapter, folder):
    lora.write(adapter, folder)
    return folder


def by_diffusers_without_alpha(adapter, folder):
    tensors.write(lora.file_state(lora.folded(adapter)), folder / "style.safetensors")
    return folder / "style.safetensors"


def by_kohya(adapter, folder):
    state = dict(convert_state_dict_to_kohya(lora.file_state(adapter)))
    state |= {key: torch.tensor(adapter.alpha) for key in state if key.endswith(".alpha")}
    tensors.write(state, folder / "style.safetensors", {"ss_network_dim": "2"})
    return folder / "style.safetensors"


def same(found, adapter):
    assert found.down.keys() == adapter.down.keys()
    for module, down in adapter.down.items():
        update = adapter.scale * adapter.up[module].flatten(1) @ down.flatten(1)
        torch.testing.assert_close(found.scale * found.up[module].flatten(1) @ found.down[module].flatten(1), update)


@pytest.mark.parametrize("write", [by_peft, by_diffusers, by_diffusers_without_alpha, by_kohya])
def test_a_lora_of_any_tool_is_the_same_expert(write, style, loaded, tmp_path):
    found = foreign.read(write(style, tmp_path), "ink", loaded)
    same(found, style)
    assert found.name == "ink" and found.metadata == loaded.origin | {"adapter": "ink"}
    assert not any("lora" in name for name, _ in loaded.denoiser.named_modules())  # the model is as it was
    mixed = mixture.attach(loaded.denoiser, [found, style], "token")
    assert len(mixed.layers) == len(style.down)


@pytest.mark.parametrize("write", [by_peft, by_diffusers, by_diffusers_without_alpha])
@pytest.mark.parametrize("family", ["sd35", "flux", "z_image", "qwen_image"])
def test_a_lora_of_a_transformer_is_the_same_expert(write, family, tmp_path):
    folder = tiny_flows.folder(family, tmp_path / family)
    loaded = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    adapter = made(loaded)
    same(foreign.read(write(adapter, tmp_path / "lora"), "ink", loaded), adapter)


def by_sgm(adapter, folder):
    """As kohya's scripts name the layers of SDXL, after its first checkpoint; of a UNet with one block a level."""
    blocks = {
        "down_blocks.1.attentions.0": "input_blocks.3.1",
        "mid_block.attentions.0": "middle_block.1",
        "up_blocks.0.attentions.0": "output_blocks.0.1",
        "up_blocks.0.attentions.1": "output_blocks.1.1",
    }
    state = {}
    for module in adapter.down:
        block = next(start for start in blocks if module.startswith(f"{start}."))
        name = "lora_unet_" + module.replace(block, blocks[block], 1).replace(".", "_")
        state[f"{name}.lora_down.weight"], state[f"{name}.lora_up.weight"] = adapter.down[module], adapter.up[module]
        state[f"{name}.alpha"] = torch.tensor(adapter.alpha)
    tensors.write(state, folder / "style.safetensors")
    return folder / "style.safetensors"


def test_names_that_diffusers_alone_knows_are_read_by_it(tmp_path):
    folder = tiny_flows.folder("sdxl", tmp_path / "sdxl")
    loaded = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    adapter = made(loaded)
    path = by_sgm(adapter, tmp_path)
    with pytest.raises(lora_formats.UnknownLayer):
        lora_formats.read(path, "ink", loaded)
    found = foreign.read(path, "ink", loaded)
    same(found, adapter)
    assert found.metadata == loaded.origin | {"adapter": "ink"}
    assert not any("lora" in name for name, _ in loaded.denoiser.named_modules())
    loading.put_foreign(loaded, path)  # `versat2i.load` reads it the same way
    state = lora.extract(loaded.denoiser, "style_safetensors", 2.0, {})
    same(state, adapter)


def test_layers_of_several_ranks_become_one(style, loaded, tmp_path):
    """By peft's patterns: the first layer has rank 1 and a scale of its own."""
    first = next(iter(style.down))
    short = dataclasses.replace(style, down=dict(style.down), up=dict(style.up))
    short.down[first], short.up[first] = style.down[first][:1], style.up[first][:, :1]
    by_peft(short, tmp_path, r=2, rank_pattern={first: 1}, alpha_pattern={first: 6.0})
    found = foreign.read(tmp_path, "ink", loaded)
    assert found.rank == 2
    update = found.scale * found.up[first] @ found.down[first]
    torch.testing.assert_close(update, 6.0 * short.up[first] @ short.down[first])


def refused(path, loaded):
    with pytest.raises(ValueError) as caught:
        foreign.read(path, "ink", loaded)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def changed(path, **more):
    state, _ = tensors.read(path)
    tensors.write(state | more, path)
    return path


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", "of the text encoder"),
        ("lora_unet_mid_block.hada_w1_a", "no plain LoRA's"),
        ("lora_unet_mid_block.dora_scale", "no plain LoRA's"),
    ],
)
def test_more_than_a_plain_lora_of_the_denoiser_is_refused(key, said, style, loaded, tmp_path):
    assert said in refused(changed(by_kohya(style, tmp_path), **{key: torch.ones(1, 1)}), loaded)


def test_what_is_no_lora_is_refused(style, loaded, tmp_path):
    path = tmp_path / "style.safetensors"
    assert "there is no such file" in refused(path, loaded)
    tensors.write({}, path)
    assert "holds no LoRA" in refused(path, loaded)
    path.write_bytes(b"cut off")
    assert "not a readable safetensors file" in refused(path, loaded)
    by_peft(style, tmp_path)
    assert "Name the folder that holds both" in refused(tmp_path / "adapter_model.safetensors", loaded)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "no settings of a LoRA" in refused(tmp_path, loaded)
    by_peft(style, tmp_path, peft_type="LOHA")
    assert "peft_type is LOHA" in refused(tmp_path, loaded)
    by_peft(style, tmp_path, use_dora=True)
    assert "use_dora: True, which a plain LoRA cannot represent" in refused(tmp_path, loaded)


@pytest.mark.parametrize("write", [by_peft, by_diffusers_without_alpha, by_kohya])
@pytest.mark.parametrize("kind", ["wider", "deeper"])
def test_a_lora_of_another_model_is_refused(write, kind, style, loaded, tmp_path):
    """Its layers have other shapes, or other names."""
    other = dataclasses.replace(style, down=dict(style.down), up=dict(style.up))
    module = next(iter(other.down))
    if kind == "wider":
        other.down[module] = torch.ones(2, 99)
    else:
        for part in (other.down, other.up):
            part[module.replace("down_blocks.1", "down_blocks.7")] = part.pop(module)
    line = refused(write(other, tmp_path), loaded)
    assert "base model" in line or "cannot load it" in line
    assert not any("lora" in name for name, _ in loaded.denoiser.named_modules())


def test_a_file_is_known_by_its_bytes_and_a_folder_by_what_is_read_of_it(style, tmp_path):
    path = by_kohya(style, tmp_path / "one")
    before = foreign.identity(path)
    changed(path, **{"lora_unet_x.alpha": torch.ones(())})
    assert foreign.identity(path) != before
    folder = by_peft(style, tmp_path / "two")
    before = foreign.identity(folder)
    (folder / "README.md").write_text("a card")
    assert foreign.identity(folder) == before
    by_peft(style, folder, lora_alpha=9.0)
    assert foreign.identity(folder) != before
    with pytest.raises(ValueError, match="there is no such LoRA"):
        foreign.identity(tmp_path / "three")


def test_a_layer_of_a_vector_an_image_is_mixed_too(loaded):
    """As the timestep's in a residual block, which LoRAs of other tools may adapt."""
    module = "down_blocks.0.resnets.0.time_emb_proj"
    d_out, d_in = loaded.denoiser.get_submodule(module).weight.shape
    adapter = lora.Adapter("ink", {module: torch.ones(1, d_in)}, {module: torch.ones(d_out, 1)}, 1.0)
    for scope in ("token", "image", "layer", "time", "prompt"):
        mixed = mixture.attach(loaded.denoiser, [adapter], scope)
        x = torch.ones(2, d_in)
        if mixed.condition is not None:
            mixed.condition.note(torch.ones(2, mixed.condition.width))
        layer = mixed.layers[module]
        torch.testing.assert_close(layer(x), layer.base(x) + d_in)
        mixed.detach()
