"""A folder of weights is known by what its loader reads, whoever loads it and however it is laid out."""

import shutil

import pytest

from versat2i.adapters.loading import Put
from versat2i.models import diffusion
from versat2i.models.pretrained import weights
from versat2i.settings.params import Model
from versat2i.work import identity


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    for name in ("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vocab.txt"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def base(folder):
    return diffusion.identity(Model(path=str(folder), dtype="float32", threads=1))["revision"]


def evaluator(folder):
    return weights.parse(str(folder), "float32").identity


KINDS = [identity.of, base, evaluator, lambda folder: Put(folder).identity()]


@pytest.mark.parametrize("known", KINDS)
def test_weights_behind_a_link_count(known, folder, tmp_path):
    before = known(folder)
    shared = (folder / "unet").rename(tmp_path / "shared")
    (folder / "unet").symlink_to(shared)
    assert known(folder) == before
    (shared / "diffusion_pytorch_model.safetensors").write_text("other weights")
    assert known(folder) != before


def test_a_snapshot_of_the_hubs_cache_is_known_as_a_copy_of_it(folder, tmp_path):
    """There each file is a link to a blob, as in ``~/.cache/huggingface``: hidden above it, which is none of it."""
    blobs = shutil.copytree(folder, tmp_path / ".cache" / "blobs")
    snapshot = tmp_path / ".cache" / "snapshot"
    for path in (each for each in blobs.rglob("*") if each.is_file()):
        link = snapshot / path.relative_to(blobs)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    assert identity.of(snapshot) == identity.of(folder)


UNREAD = [
    ".DS_Store",
    "unet/._config.json",
    ".cache/huggingface/download/model_index.json.metadata",
    ".gitattributes",
    ".git/HEAD",
    "README.md",
    "LICENSE",
    "Thumbs.db",
    "images/sample.PNG",
    "unet/diffusion_flax_model.msgpack",
    "vae/model.onnx",
    "tf_model.h5",
    "unet/diffusion_pytorch_model.bin",  # beside the safetensors
]


@pytest.mark.parametrize("known", KINDS)
def test_what_no_loader_reads_does_not_count(known, folder):
    before = known(folder)
    for name in UNREAD:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("whatever")
    assert known(folder) == before


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "modeling_own.py",
        "chat_template.jinja",
        "head.pth",
    ],
)
def test_what_some_loader_reads_counts(folder, name):
    before = identity.of(folder)
    (folder / name).write_text("other")
    assert identity.of(folder) != before


def test_pickles_beside_safetensors_of_the_same_weights_do_not_count(folder):
    (folder / "model.safetensors").write_text("1")
    before = identity.of(folder)
    (folder / "pytorch_model.bin").write_text("1")
    assert identity.of(folder) == before


def test_a_link_to_a_folder_around_it_is_one_clear_line(folder):
    (folder / "unet" / "up").symlink_to(folder)
    with pytest.raises(ValueError, match=r"unet/up: links to .*/model, in which it lies itself\. Remove the link"):
        identity.of(folder)


@pytest.mark.parametrize("known", KINDS[:2])
def test_a_folder_without_anything_to_load_is_one_clear_line(known, tmp_path):
    (tmp_path / "README.md").touch()
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="there is no such folder, or it is empty"):
            known(folder)
