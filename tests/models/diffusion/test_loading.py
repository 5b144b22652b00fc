"""A model is known by its bytes or its revision; what cannot be loaded is one line."""

import json

import pytest
from pydantic import ValidationError

from versat2i.models import diffusion
from versat2i.settings.params import Model

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def load(folder):
    return diffusion.load(Model(path=str(folder), dtype="float32", threads=1))


def test_identity_is_that_of_the_bytes(model_folder, copied):
    original, same = (
        diffusion.identity(Model(path=str(f), dtype="float32", threads=1)) for f in (model_folder, copied)
    )
    assert original["revision"] == same["revision"] and same["base_model"] == str(copied)
    data = bytearray((copied / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (copied / WEIGHTS).write_bytes(data)
    changed = diffusion.identity(Model(path=str(copied), dtype="float32", threads=1))
    assert changed["revision"] != original["revision"]


def test_a_model_of_the_hub_is_known_by_its_revision():
    named = Model(repo="someone/something", revision="abc", dtype="float32", threads=1)
    assert diffusion.identity(named) == {"base_model": "someone/something", "revision": "abc"}


def complaint(folder):
    """What loading it says, which must be one line."""
    with pytest.raises(ValueError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_without_a_pipeline_is_said_to_be_none(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert complaint(folder) == (
            f"model.path: {folder} is no diffusers folder (it has no model_index.json). Name the folder that holds "
            "that file, or a repository of the hub by `repo` and `revision`"
        )


def test_a_class_that_is_not_supported_is_named_with_those_that_are(copied):
    index = json.loads((copied / "model_index.json").read_text())
    (copied / "model_index.json").write_text(json.dumps(index | {"_class_name": "AudioLDMPipeline"}))
    assert complaint(copied) == (
        f"{copied}: is a AudioLDMPipeline; supported are StableDiffusionPipeline, StableDiffusionXLPipeline, "
        "StableDiffusion3Pipeline, ZImagePipeline, QwenImagePipeline, FluxPipeline, Flux2KleinPipeline, Flux2Pipeline, "
        "ChromaPipeline, SanaPipeline, Lumina2Pipeline, Krea2Pipeline"
    )


def test_numbers_in_a_models_index_are_no_part_of_another_library(copied):
    """Krea 2 names the layers of its encoder there."""
    index = json.loads((copied / "model_index.json").read_text())
    (copied / "model_index.json").write_text(json.dumps(index | {"text_encoder_select_layers": [0, 1, 2]}))
    assert load(copied).pipeline_class == "StableDiffusionPipeline"


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:1000])])
def test_weights_that_are_missing_or_cut_off_are_one_line(copied, spoil):
    spoil(copied / WEIGHTS)
    said = complaint(copied)
    assert said.startswith(f"{copied}: cannot be loaded (") and "diffusion_pytorch_model" in said


def test_a_repository_needs_a_revision():
    with pytest.raises(ValidationError, match="'repo' needs a 'revision'"):
        Model(repo="someone/something", dtype="float32", threads=1)


def test_a_revision_that_is_not_there_is_one_line():
    with pytest.raises(ValueError) as error:
        diffusion.load(Model(repo="no-one/nothing", revision="0" * 40, dtype="float32", threads=1))
    assert str(error.value) == (
        f"model.repo: no-one/nothing at revision {'0' * 40} was not downloaded before and the hub is switched off: run "
        "`make fetch` once with HF_HUB_OFFLINE=0"
    )
