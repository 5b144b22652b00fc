"""A LoRA of another trainer is read as diffusers reads it, or refused by the name of what it has beside A and B."""

import json

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from versat2i.adapters import lora

KEY = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
VALUE, CONVOLUTION = KEY[:-1] + "v", "mid_block.resnets.0.conv1"


@pytest.fixture(scope="module")
def unet(model_folder):
    return StableDiffusionPipeline.from_pretrained(model_folder).unet


def weights(unet, rank=4, layers=(KEY, VALUE, CONVOLUTION), ranks=None):
    """A and B of some layers in diffusers' names."""
    generator, state = torch.Generator().manual_seed(0), {}
    for module in layers:
        d_out, d_in, *kernel = unet.get_submodule(module).weight.shape
        r = (ranks or {}).get(module, rank)
        state[f"unet.{module}.lora_A.weight"] = torch.randn(r, d_in, *kernel, generator=generator)
        state[f"unet.{module}.lora_B.weight"] = torch.randn(d_out, r, *[1] * len(kernel), generator=generator)
    return state


def put(folder, state, config):
    folder.mkdir(exist_ok=True)
    whole = {f"unet.{name}": value for name, value in ({"r": 4, "lora_alpha": 8} | config).items()}
    save_file(state, folder / lora.FILE, {"lora_adapter_metadata": json.dumps(whole)})
    return folder


def image(model_folder, folder):
    """What the denoiser says with the LoRA of a folder, as plain diffusers loads it."""
    pipe = StableDiffusionPipeline.from_pretrained(model_folder)
    if folder is not None:
        pipe.load_lora_weights(str(folder))
    generator = torch.Generator().manual_seed(1)
    noisy, text = (torch.randn(2, *shape, generator=generator) for shape in ((4, 16, 16), (24, 16)))
    with torch.no_grad():
        return pipe.unet(noisy, torch.tensor([10, 900]), text).sample


FORMS = {
    "plain": ({}, {}),
    "alpha of a layer": ({}, {"alpha_pattern": {KEY: 1, "resnets.0.conv1": 3}}),
    "alpha by pattern": ({}, {"alpha_pattern": {r".*\.attn2\.to_[kv]": 2}}),
    "ranks": ({VALUE: 8, CONVOLUTION: 1}, {"rank_pattern": {VALUE: 8, CONVOLUTION: 1}}),
    "rank and alpha": ({VALUE: 2}, {"rank_pattern": {VALUE: 2}, "alpha_pattern": {VALUE: 16}}),
    "rslora": ({}, {"use_rslora": True}),
    "rslora with ranks": ({VALUE: 8}, {"use_rslora": True, "rank_pattern": {VALUE: 8}}),
}


@pytest.mark.parametrize(("ranks", "config"), FORMS.values(), ids=FORMS)
def test_what_a_plain_lora_can_represent_is_read_as_diffusers_reads_it(unet, model_folder, tmp_path, ranks, config):
    foreign = put(
        tmp_path / "foreign", weights(unet, ranks=ranks), {"target_modules": [KEY, VALUE, CONVOLUTION]} | config
    )
    lora.write(lora.read(foreign, "style"), tmp_path / "ours")
    expected = image(model_folder, foreign)
    assert (expected - image(model_folder, None)).abs().max() > 0.01
    torch.testing.assert_close(image(model_folder, tmp_path / "ours"), expected, atol=1e-4, rtol=1e-4)


def test_scales_worked_out_by_hand(unet, tmp_path):
    """lora_alpha 8 at rank 4 is scale 2; of the key alone alpha is 1; rsLoRA divides by the root of the rank."""
    state = weights(unet, layers=(KEY, VALUE))
    up = {module: state[f"unet.{module}.lora_B.weight"] for module in (KEY, VALUE)}
    found = lora.read(put(tmp_path / "a", state, {"alpha_pattern": {KEY: 1}}), "style")
    torch.testing.assert_close(found.scale * found.up[KEY], up[KEY] / 4)
    assert found.scale == 2 and torch.equal(found.up[VALUE], up[VALUE])
    found = lora.read(put(tmp_path / "a", state, {"use_rslora": True}), "style")
    torch.testing.assert_close(found.scale * found.up[KEY], 4 * up[KEY])


EXTRA = {
    "DoRA": {f"unet.{KEY}.lora_magnitude_vector": torch.ones(16)},
    "bias": {f"unet.{KEY}.lora_B.bias": torch.ones(16)},
    "text encoder": {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(4, 16)},
    "whole layer": {"unet.conv_in.weight": torch.ones(4, 4)},
}


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA)
def test_what_is_there_beside_a_and_b_is_refused_by_name(unet, tmp_path, extra):
    folder = put(tmp_path / "style", weights(unet) | extra, {})
    with pytest.raises(ValueError) as error:
        lora.read(folder, "style")
    assert str(error.value) == (
        f"{folder / lora.FILE}: holds {next(iter(extra))}, no lora_A or lora_B of the denoiser: only plain LoRAs of "
        "the denoiser can be mixed and exported. Train it without"
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("use_dora", True),
        ("lora_bias", True),
        ("bias", "all"),
        ("init_lora_weights", "pissa_niter_16"),
        ("layer_replication", [[0, 2]]),
        ("modules_to_save", ["conv_in"]),
        ("something_new", {"a": 1}),
    ],
)
def test_a_setting_that_changes_the_update_is_refused_by_name(unet, tmp_path, setting, value):
    folder = put(tmp_path / "style", weights(unet), {setting: value})
    with pytest.raises(ValueError, match=f"was trained with {setting}: .*, which a plain LoRA cannot represent"):
        lora.read(folder, "style")


def test_all_of_pefts_settings_at_their_defaults_are_plain(unet, tmp_path):
    """Files of diffusers' own scripts name each of them."""
    from peft import LoraConfig

    config = {
        key: value
        for key, value in LoraConfig(r=4, lora_alpha=8, init_lora_weights="gaussian", target_modules=["to_k"])
        .to_dict()
        .items()
        if not isinstance(value, set)
    }
    found = lora.read(put(tmp_path / "style", weights(unet), config | {"peft_type": "LORA"}), "style")
    assert found.rank == 4


@pytest.mark.parametrize(
    "config",
    [{"rank_pattern": {VALUE: 2}}, {"r": 3}, {"r": 0}],
)
def test_a_rank_that_the_settings_do_not_have_is_refused(unet, tmp_path, config):
    folder = put(tmp_path / "style", weights(unet), config)
    with pytest.raises(ValueError, match=r"rank \d does not fit layer "):
        lora.read(folder, "style")


@pytest.mark.parametrize("config", [{"alpha_pattern": 3}, {"rank_pattern": {"(": 2}}, {"alpha_pattern": {KEY: "x"}}])
def test_settings_that_are_none_of_pefts_are_one_line(unet, tmp_path, config):
    folder = put(tmp_path / "style", weights(unet), config)
    with pytest.raises(ValueError, match="lora_adapter_metadata in its metadata is no config of peft"):
        lora.read(folder, "style")


def test_a_file_of_another_name_is_named(unet, tmp_path):
    folder = put(tmp_path / "style", weights(unet), {})
    (folder / lora.FILE).rename(folder / "my_style_v3.safetensors")
    with pytest.raises(ValueError, match=r"there is no such file\. Rename my_style_v3\.safetensors to pytorch_lora"):
        lora.read(folder, "style")


def test_a_file_in_kohyas_names_says_which_names_it_has(tmp_path):
    state = {"lora_unet_mid_block_attentions_0.lora_down.weight": torch.ones(1, 1)}
    with pytest.raises(ValueError, match=r"in diffusers' names \(it has lora_unet_mid_block_attentions_0"):
        lora.read(put(tmp_path / "style", state, {}), "style")
