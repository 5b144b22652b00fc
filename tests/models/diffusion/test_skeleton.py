"""A model built from its configs alone has the loaded model's networks, and computes what it computes."""

import json
import re
import shutil

import pytest
import tiny_flows
import torch
from diffusers import DiffusionPipeline
from ruamel.yaml import YAML
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from versat2i.models import diffusion
from versat2i.models.diffusion import skeleton
from versat2i.settings.params import Model
from versat2i.tools.counting import counted


@pytest.fixture(scope="module", params=tiny_flows.ALL)
def folder(request, tmp_path_factory):
    return tiny_flows.folder(request.param, tmp_path_factory.mktemp("skeleton") / request.param)


def named(folder, dtype="float32"):
    return Model(path=str(folder), dtype=dtype, threads=1)


def sizes(model):
    """Number of parameters and their bytes by dtype, of each network."""
    networks = {name: part for name, part in model.pipe.components.items() if isinstance(part, nn.Module)}
    return {
        name: [*sorted((str(p.dtype), p.numel()) for p in part.parameters()), sum(p.nbytes for p in part.parameters())]
        for name, part in networks.items()
    }


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_networks_have_as_many_parameters_as_the_loaded_models_each_in_the_same_dtype(folder, dtype):
    found = skeleton.load(named(folder, dtype))
    assert all(p.is_meta for part in found.parts for p in part.parameters())
    assert sizes(found) == sizes(diffusion.load(named(folder, dtype)))


def test_configs_are_enough(folder, tmp_path):
    """Neither weights nor tokenizers are read, nor whatever else lies there."""
    alone = tmp_path / "configs"
    for pattern in skeleton.CONFIGS:
        for path in folder.glob(pattern):
            (alone / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, alone / path.relative_to(folder))
    assert sizes(skeleton.load(named(tmp_path), place=alone)) == sizes(skeleton.load(named(folder)))


def test_a_pass_has_the_operations_of_one_with_weights(folder):
    model, size = diffusion.load(named(folder)), 32
    alike = skeleton.texts(skeleton.load(named(folder)), 2)
    width = None if alike.pooled is None else torch.zeros(alike.pooled.shape)
    prompts = diffusion.Embeddings(torch.zeros(alike.hidden.shape), alike.mask, width)
    with FlopCounterMode(display=False) as real, torch.no_grad():
        model.predict(torch.zeros(2, *model.latent_shape(size)), torch.full((2,), 500.0), prompts)
    with torch.no_grad():
        found = counted(lambda: skeleton.predict(skeleton.load(named(folder)), 2, size))
    assert found.flops == real.get_total_flops() > 0


def test_prompts_are_as_long_as_the_longest_that_the_model_reads(folder):
    found = diffusion.load(named(folder)).embed(["a red circle " * 400])
    (tokens, *rest), pooled = skeleton.load(named(folder)).text_shape()
    assert list(found.hidden.shape[2:]) == rest
    suffix = 8 if "Krea2" in (folder / "model_index.json").read_text() else 0  # a tiny tokenizer has a token a byte
    assert found.hidden.shape[1] == tokens + suffix
    assert pooled == (None if found.pooled is None else found.pooled.shape[1])


def test_a_step_with_guidance_calls_the_denoiser_as_often_as_its_family_says(folder):
    model = diffusion.load(named(folder))
    size = None if type(model.pipe).__name__.startswith("StableDiffusion") else 32
    batches = []

    def note(module, args, kwargs, out):
        first = kwargs.get("hidden_states", kwargs.get("x", args[0] if args else None))
        batches.append(len(first))

    model.denoiser.register_forward_hook(note, with_kwargs=True)
    scale = 3.0 if model.guided else 1.0
    model.draw(model.embed(["a red circle"]), model.embed([""]), [1], 2, scale, size)
    passes = model.passes if model.guided else 1
    assert batches == ([passes] * 2 if model.in_one_call else [1] * 2 * passes)


def test_decoder_and_text_encoders_are_counted(folder):
    found = skeleton.load(named(folder))
    with torch.no_grad():
        assert counted(lambda: skeleton.decode(found, 1, 32)).flops > 0
        assert counted(lambda: skeleton.encode(found)).flops > 0


def test_configs_of_one_file_are_those_of_a_folder(folder, tmp_path):
    sections = {"model_index": json.loads((folder / "model_index.json").read_text())}
    for path in [*folder.glob("*/config.json"), *folder.glob("*/scheduler_config.json")]:
        sections[path.parent.name] = json.loads(path.read_text())
    with (tmp_path / "configs.yaml").open("w") as file:
        YAML(typ="safe").dump(sections, file)
    assert sizes(skeleton.load(named(folder), place=tmp_path / "configs.yaml")) == sizes(skeleton.load(named(folder)))


def refused(model, place=None):
    with pytest.raises(ValueError) as caught:
        skeleton.load(model, place=place)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_named_with_what_to_do(copied, tmp_path):
    (copied / "unet" / "config.json").unlink()
    assert re.search(r"no config of 'unet'.* --configs", refused(named(copied)))
    (copied / "model_index.json").write_text("{}")
    assert "supported are" in refused(named(copied))
    (copied / "model_index.json").write_text("{")
    assert "--configs" in refused(named(copied))
    assert "model_index.json" in refused(named(tmp_path))


def test_where_there_is_no_network_one_line_says_what_to_fetch(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = Model(repo="owner/name", revision="0123abc", dtype="bfloat16", threads=1)
    line = refused(model)
    assert "`hf download owner/name --revision 0123abc --include 'model_index.json' --include '*/config.json'" in line
    assert line.endswith("name them by --configs FOLDER")


def test_nothing_random_is_drawn(folder):
    before = torch.get_rng_state()
    skeleton.load(named(folder))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pipeline_is_the_class_of_its_index(folder):
    name = DiffusionPipeline.load_config(folder)["_class_name"]
    assert type(skeleton.load(named(folder)).pipe).__name__ == name
