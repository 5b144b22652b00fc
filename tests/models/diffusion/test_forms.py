"""The forms in which people have models load, or are refused in a line that says what they are and what to do."""

import shlex
import shutil

import pytest
import tiny_families
from diffusers import UNet2DConditionModel

from versat2i.models import diffusion
from versat2i.models.diffusion import forms
from versat2i.settings.params import Model


@pytest.fixture(scope="module")
def pipe():
    return tiny_families.FAMILIES["sd15"]()


def model(folder, **more):
    return Model(path=str(folder), dtype="float32", threads=1, **more)


def refusal(folder, **more):
    with pytest.raises(ValueError) as error:
        diffusion.load(model(folder, **more))
    assert "\n" not in str(error.value)
    return str(error.value)


PLAIN = ["model_index.json", "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
HALF = ["unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors"]
PIECES = [
    "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.json",
]
HALF_PIECES = ["unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors", "text_encoder/model.fp16.safetensors"]
OLD_HALF_PIECES = ["unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors"]


@pytest.mark.parametrize(
    "names, expected",
    [
        (PLAIN, None),
        (HALF, "fp16"),
        (PLAIN + HALF, None),
        (PIECES, None),
        (HALF_PIECES, "fp16"),
        (OLD_HALF_PIECES, "fp16"),
        ([PLAIN[1], HALF[1]], "fp16"),  # the UNet has no other; diffusers takes it as it is
        ([*HALF, "unet/diffusion_pytorch_model.bf16.safetensors"], "fp16"),  # of which the text encoder has none
        ([*PLAIN, "unet/diffusion_pytorch_model.bin"], None),
        ([*PLAIN, "safety_checker/pytorch_model.bin"], None),  # read by nobody who draws
        ([*PLAIN, "sd-v1-5.ckpt", "onnx/unet/model.onnx"], None),
        ([], None),
    ],
)
def test_the_only_kind_of_weights_is_found_by_itself(names, expected):
    assert forms.variant(names, "somewhere") == expected


def test_of_several_kinds_one_has_to_be_named():
    both = [name.replace("fp16", kind) for name in HALF for kind in ("fp16", "ema")]
    with pytest.raises(ValueError) as error:
        forms.variant(both, "somewhere")
    assert str(error.value) == (
        "somewhere: has its weights as ema, fp16. Say in params.yaml which to read, e.g. `model.variant: ema`"
    )


def test_a_folder_with_half_precision_alone_loads(pipe, tmp_path):
    pipe.save_pretrained(tmp_path, variant="fp16")
    ours, theirs = diffusion.load(model(tmp_path)).denoiser.state_dict(), pipe.unet.state_dict()
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)


def test_a_variant_that_is_named_is_read_and_goes_into_adapters(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    pipe.save_pretrained(tmp_path, variant="fp16")
    assert "variant" not in diffusion.load(model(tmp_path)).identity
    assert diffusion.load(model(tmp_path, variant="fp16")).identity["variant"] == "fp16"
    assert "fp8" in refusal(tmp_path, variant="fp8")


def test_pickles_are_named_with_the_way_to_safetensors(pipe, tmp_path):
    pipe.save_pretrained(tmp_path, safe_serialization=False)
    said = refusal(tmp_path)
    name = "unet/diffusion_pytorch_model.bin"
    assert said.startswith(f"{tmp_path}: {name} is a pickle, which may run code when it is read")


@pytest.mark.parametrize(
    "kind, left",
    [(None, "unet"), (None, "all"), ("fp16", "all")],
    ids=["one part", "all parts", "half precision"],
)
def test_the_command_that_is_printed_for_pickles_makes_a_folder_that_loads(pipe, tmp_path, monkeypatch, kind, left):
    """As it stands in the message, whatever the folder is called; FOLDER alone is for the user to replace."""
    source, out = tmp_path / """Jo's "own" $model""", tmp_path / "FOLDER"
    pipe.save_pretrained(source, safe_serialization=left != "all", variant=kind)
    if left == "unet":
        (source / "unet" / "diffusion_pytorch_model.safetensors").unlink()
        pipe.unet.save_pretrained(source / "unet", safe_serialization=False)
    program, flag, code = shlex.split(refusal(source).partition("trust the file: ")[2])
    assert (program, flag) == ("python", "-c")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "command", "exec"), {})
    ours, theirs = diffusion.load(model(out)).denoiser.state_dict(), pipe.unet.state_dict()
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_the_command_for_pickles_of_a_repository_names_its_revision():
    with pytest.raises(ValueError, match=r"from_pretrained\('owner/name', revision='0123abc'\)"):
        forms.variant(["unet/diffusion_pytorch_model.bin"], "owner/name", "0123abc")


@pytest.mark.parametrize(
    "channels, sees",
    [(9, "an image to fill in with its mask"), (8, "an image to change"), (5, "a depth map"), (6, "something else")],
)
def test_a_model_of_another_task_is_said_to_be_none(pipe, tmp_path, channels, sees):
    pipe.save_pretrained(tmp_path)
    UNet2DConditionModel.from_config({**pipe.unet.config, "in_channels": channels}).save_pretrained(tmp_path / "unet")
    assert refusal(tmp_path) == (
        f"{tmp_path}: its UNet takes {channels} channels, the 4 of the latents and {sees}: it is no text-to-image "
        "model. Name the model that it was made from"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model.gguf"])
def test_a_file_in_place_of_a_folder_is_told_where_files_go(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert refusal(path).startswith(f"model.path: {path} is a single file. Write `file: {path}` in place of `path`")


def test_a_folder_of_links_that_was_copied_without_what_they_lead_to_names_the_first(pipe, tmp_path):
    """As ``cp -a`` of a snapshot in the hub's cache makes it."""
    model, blobs = tmp_path / "model", tmp_path / "blobs"
    pipe.save_pretrained(model)
    blobs.mkdir()
    index = model / "model_index.json"
    index.rename(blobs / "0a1b")
    index.symlink_to("../blobs/0a1b")
    (model / "README.md").symlink_to("../blobs/gone")  # of no loader
    (model / ".cache").symlink_to("../blobs/gone")
    assert diffusion.load(Model(path=str(model), dtype="float32", threads=1)).pipe.unet is not None
    (blobs / "0a1b").rename(blobs / "other")
    assert refusal(model) == (
        f"model.path: {model}: {index} is a link to ../blobs/0a1b, which is not there. Copy the folder with what its "
        "links lead to (`cp -rL`), or download it again"
    )


def test_a_linked_part_that_is_gone_is_named(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "unet")
    (tmp_path / "model" / "unet").symlink_to(tmp_path / "shared")
    assert f"{tmp_path / 'model' / 'unet'} is a link to {tmp_path / 'shared'}, which is not there" in refusal(
        tmp_path / "model"
    )


def test_a_folder_below_home_is_to_be_written_out(pipe, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    pipe.save_pretrained(tmp_path / "model")
    assert refusal("~/model") == (
        f"model.path: ~/model: ~ is not read as your home here, nor by DVC. Write {tmp_path}/model"
    )
