"""A checkpoint in one file is the same model as its folder; other files are refused by what they are."""

import checkpoints
import numpy as np
import pytest
import tiny_families
import torch
from diffusers import UNet2DConditionModel
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

import versat2i
from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.models.diffusion import single_file
from versat2i.settings.params import Model
from versat2i.work import files


@pytest.fixture(scope="module")
def pipe():
    return tiny_families.FAMILIES["sd15"]()


@pytest.fixture(scope="module")
def config(pipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    pipe.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder


@pytest.fixture(scope="module")
def whole(pipe, tmp_path_factory):
    return checkpoints.write(pipe, tmp_path_factory.mktemp("file") / "model.safetensors")


def model(file, config):
    return Model(file=str(file), config=str(config), dtype="float32", threads=1)


def test_its_weights_are_those_of_the_folder(pipe, config, whole):
    loaded = diffusion.load(model(whole, config)).pipe
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = getattr(loaded, part).state_dict(), getattr(pipe, part).state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_whole_sdxl_draws_what_its_folder_draws(tmp_path):
    pipe = tiny_families.FAMILIES["sdxl"]()
    wide = (
        CLIPTextModelWithProjection._from_config(  # wider than the first, as published: that is how they are told apart
            CLIPTextConfig(**pipe.text_encoder_2.config.to_dict() | {"hidden_size": 24, "intermediate_size": 48})
        )
    )
    denoiser = UNet2DConditionModel.from_config({**pipe.unet.config, "cross_attention_dim": tiny_families.HIDDEN + 24})
    pipe.register_modules(text_encoder_2=wide, unet=denoiser)
    pipe.save_pretrained(tmp_path / "folder")
    file = checkpoints.write(pipe, tmp_path / "model.safetensors")
    ours = diffusion.load(model(file, tmp_path / "folder"))
    theirs = diffusion.load(Model(path=str(tmp_path / "folder"), dtype="float32", threads=1))
    assert ours.pipeline_class == theirs.pipeline_class == "StableDiffusionXLPipeline"
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        one, other = getattr(ours.pipe, part).state_dict(), getattr(theirs.pipe, part).state_dict()
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    asked = {"prompt": "a red circle", "height": 32, "width": 32, "num_inference_steps": 2, "output_type": "np"}
    one, other = (each.pipe(**asked, generator=torch.Generator().manual_seed(0)).images for each in (ours, theirs))
    assert np.array_equal(one, other) and one.std() > 0


def test_it_is_known_by_its_bytes_and_those_of_the_configs(config, whole, tmp_path):
    known = diffusion.identity(model(whole, config))
    assert known["base_model"] == str(whole) and known["config"] == str(config)
    data = load_file(whole)
    data["model.diffusion_model.out.2.bias"] += 1
    save_file(data, tmp_path / "other.safetensors")
    assert diffusion.identity(model(tmp_path / "other.safetensors", config))["revision"] != known["revision"]
    with files.new_file(tmp_path / "config" / "scheduler" / "scheduler_config.json") as out:
        out.write_text("{}")
    assert diffusion.identity(model(whole, tmp_path / "config"))["revision"] != known["revision"]


def test_an_adapter_that_was_trained_on_it_loads_by_itself(config, whole, tmp_path):
    base = diffusion.load(model(whole, config))
    made = lora.Adapter("one", *_halves(base.denoiser), 2.0, base.origin)
    lora.write(made, tmp_path / "one")
    assert versat2i.load(tmp_path / "one", dtype="float32").unet.config.in_channels == 4


def _halves(denoiser):
    down, up = {}, {}
    for name, layer in denoiser.named_modules():
        if name.endswith("attn1.to_q"):
            down[name], up[name] = torch.ones(2, layer.in_features), torch.ones(layer.out_features, 2)
    return down, up


LACKING = {
    "model.diffusion_model.": "lacks the UNet2DConditionModel that",
    "first_stage_model.": "lacks the AutoencoderKL that",
    "cond_stage_model.": "lacks the CLIPTextModel that",
    "model.diffusion_model.middle_block.1": "lacks weights that",
    "cond_stage_model.transformer.text_model.final": "lacks 2 weights that",
}


def refusal(file, config):
    with pytest.raises(ValueError) as error:
        diffusion.load(model(file, config))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("part", LACKING)
def test_what_lacks_a_part_is_one_line_that_names_it(config, whole, tmp_path, part):
    path = tmp_path / "part.safetensors"
    save_file({name: value for name, value in load_file(whole).items() if not name.startswith(part)}, path)
    assert refusal(path, config).startswith(f"{path}: {LACKING[part]} {config} has")


def test_the_configs_of_another_family_are_one_line(whole, tmp_path):
    other = tiny_families.folder("sdxl", tmp_path / "sdxl")
    assert refusal(whole, other).startswith(f"{whole}: lacks weights ('label_emb.0.0.weight') that {other} has. Is it")


@pytest.mark.parametrize("name", ["/data/owner/nowhere", "nowhere", "owner/name"])
def test_configs_that_are_not_there_are_one_line_that_names_the_folder(whole, name):
    """diffusers takes such a name for one of the hub's: "We couldn't connect to 'https://huggingface.co'"."""
    assert refusal(whole, name) == (
        f"model.config: {name} is no diffusers folder (it has no model_index.json). Name the folder that holds that "
        "file, or a repository of the hub as owner/name@commit"
    )


@pytest.mark.parametrize(
    "name, kind",
    [
        ("lora_unet_mid_block.lora_down.weight", "a LoRA, no whole model. Name the checkpoint that it was trained on"),
        ("unet.mid_block.lora_A.weight", "a LoRA in diffusers' names, no whole model. Name its base model"),
        ("double_blocks.0.img_attn.qkv.weight", "a denoiser alone, no whole model. Name a file with text encoder"),
        ("decoder.conv_in.weight", "an autoencoder alone, no whole model. Name a file with text encoder"),
    ],
)
def test_a_part_of_a_model_is_called_by_its_name(config, tmp_path, name, kind):
    path = tmp_path / "part.safetensors"
    save_file({name: torch.zeros(1)}, path)
    assert refusal(path, config).startswith(f"model.file: {path} is {kind}")


@pytest.mark.parametrize(
    "name, said",
    [
        ("model.ckpt", "may be a pickle, which runs code when it is read. Take the same checkpoint as .safetensors"),
        ("model.gguf", "holds quantised weights, which cannot be trained. Take the same checkpoint as .safetensors"),
        ("model.safetensors", "no whole safetensors file"),
        ("missing.safetensors", "there is no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(config, tmp_path, name, said):
    path = tmp_path / name
    if "missing" not in name:
        path.write_bytes(b"\x80\x02cos\nsystem\n")
    assert said in refusal(path, config)


@pytest.mark.parametrize(
    "source, said",
    [
        ({"file": "a.safetensors"}, "'file' and 'config' belong together"),
        ({"path": "a", "config": "b"}, "'file' and 'config' belong together"),
        (
            {"path": "a", "file": "a.safetensors", "config": "b"},
            "give either 'path' or 'repo' with 'revision', or 'file'",
        ),
        ({"file": "a.safetensors", "config": "owner/name@main"}, "has no commit hash after its @"),
        ({"file": "a.safetensors", "config": "b", "variant": "fp16"}, "'variant' belongs to a folder or a repository"),
    ],
)
def test_params_that_name_a_file_wrongly_say_how(source, said):
    with pytest.raises(ValidationError, match=said):
        Model(**source, dtype="float32", threads=1)


def test_its_configs_may_lie_in_a_repository():
    named = Model(file="a.safetensors", config="owner/name@0123abc", dtype="float32", threads=1)
    assert named.place == ("owner/name", "0123abc") and named.name == "a.safetensors"


@pytest.mark.parametrize(
    "name, kind",
    [
        ("diffusion_model.layers.0.attention.to_q.lora_A.weight", "a LoRA in ComfyUI's or peft's names"),
        ("base_model.model.unet.to_q.lora_A.weight", "a LoRA in ComfyUI's or peft's names"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet"),
        ("emb_params", "a textual inversion"),
    ],
)
def test_other_files_of_model_sites_are_told_by_what_they_are(tmp_path, name, kind):
    save_file({name: torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=f"other.safetensors is {kind}, no whole model. Name "):
        single_file.check(str(tmp_path / "other.safetensors"))
