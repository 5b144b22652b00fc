"""Models that are used as they are: pinned, safe to read, and refused in one clear line where they cannot be loaded."""

import os
import shutil
from pathlib import Path

import hub_server
import pytest
import tiny_vision
import torch
import transformers
from hub_server import REVISION, Hub
from safetensors.torch import save_file

from versat2i.models.pretrained import weights as pretrained

CODE = """
import pathlib
import transformers

pathlib.Path({mark!r}).touch()


class OwnConfig(transformers.BertConfig):
    model_type = "own"


class OwnModel(transformers.BertModel):
    config_class = OwnConfig
"""


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    return tiny_vision.sentences(tmp_path_factory.mktemp("sentences"))


def test_weights_are_a_folder_or_a_pinned_revision(tmp_path):
    assert pretrained.parse(str(tmp_path), "float16").revision is None
    pinned = pretrained.parse("openai/clip-vit-base-patch32@3d74acf9a28c", "bfloat16")
    assert (pinned.place, pinned.revision) == ("openai/clip-vit-base-patch32", "3d74acf9a28c")
    assert pinned.identity == "openai/clip-vit-base-patch32@3d74acf9a28c"


@pytest.mark.parametrize(
    "source, dtype, message",
    [
        ("openai/clip-vit-base-patch32", "float32", "is neither a folder nor 'repository@revision'. Pin the revision"),
        ("@abc", "float32", "is neither a folder nor"),
        ("openai/clip@main", "float32", "'main' may be another one tomorrow. Give a commit hash"),
        ("a/b@c", "float8", "dtype 'float8' is none of float32, float16, bfloat16"),
    ],
)
def test_weights_that_are_not_pinned_are_an_error(source, dtype, message):
    with pytest.raises(ValueError) as error:
        pretrained.parse(source, dtype)
    assert message in str(error.value)


def test_a_folder_is_known_by_its_bytes(tmp_path):
    (tmp_path / "weights").write_text("1")
    before = pretrained.parse(str(tmp_path), "float32").identity
    (tmp_path / "weights").write_text("2")
    assert pretrained.parse(str(tmp_path), "float32").identity != before


@pytest.mark.parametrize("source", ["somebody/clip@0123456", "a folder"])
def test_a_model_that_is_not_there_is_one_clear_line(tmp_path, source):
    source = source if "@" in source else str(tmp_path)
    with pytest.raises(ValueError) as error:
        pretrained.parse(source, "float32").model("AutoModel")
    expected = (
        "somebody/clip at revision 0123456 was not downloaded before"
        if "@" in source
        else (f"{source}: cannot be loaded as AutoModel")
    )
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_weights_of_another_task_are_refused_instead_of_filled_with_noise(sentences):
    with pytest.raises(ValueError, match=r"lacks 2 weights of a BertForSequenceClassification .*classifier"):
        pretrained.parse(sentences, "float32").model("AutoModelForSequenceClassification", ("bert.pooler.",))


def test_of_a_model_whose_configuration_alone_is_used_no_weights_are_fetched(sentences, tmp_path):
    script = (
        "from versat2i.models.pretrained import weights\n"
        f"weights.parse('owner/bert@{REVISION}', 'float32', weightless=True).fetch()"
    )
    with Hub({"owner/bert": Path(sentences)}) as hub:
        done = hub_server.run(script, hub.environment(tmp_path / "home"), tmp_path)
    assert not done.returncode, done.stderr
    names = {name for _, name in hub.files}
    assert {"config.json", "tokenizer.json"} <= names and "model.safetensors" not in names


def test_tensors_are_read_from_safetensors_too_and_damage_is_one_clear_line(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(b"damaged")
    weights = pretrained.parse(str(tmp_path), "float32")
    assert weights.tensors("x.safetensors")["a"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"y\.safetensors cannot be read as tensors"):
        weights.tensors("y.safetensors")


# ----------------------------------------------------------------------------------- what may be run


@pytest.fixture
def own(sentences, tmp_path, monkeypatch):
    """A model whose class comes with it, and the file that its code leaves behind when it is run."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder, mark = shutil.copytree(sentences, tmp_path / "own_model"), tmp_path / "was_run"
    config = transformers.BertConfig.from_pretrained(folder)
    config.auto_map = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    text = config.to_json_string().replace('"model_type": "bert"', '"model_type": "own"')
    (folder / "config.json").write_text(text)
    return folder, mark


def test_code_that_comes_with_a_model_is_not_run(own):
    folder, mark = own
    with pytest.raises(ValueError) as error:
        pretrained.parse(str(folder), "float32").model("AutoModel", ("pooler.",))
    assert str(error.value) == (
        f"{folder}: it brings code of its own, which is run only where params say `trust_remote_code: true` beside "
        "that model. Read the code first"
    )
    assert not mark.exists()


def test_code_that_params_trust_is_run(own):
    folder, mark = own
    model = pretrained.parse(str(folder), "float32", trust_remote_code=True).model("AutoModel", ("pooler.",))
    assert type(model).__name__ == "OwnModel" and mark.exists()


class Harm:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_that_would_run_code_is_refused(sentences, tmp_path):
    folder, mark = shutil.copytree(sentences, tmp_path / "pickled"), tmp_path / "was_run"
    (folder / "model.safetensors").unlink()
    torch.save({"harm": Harm(mark)}, folder / "pytorch_model.bin")
    weights = pretrained.parse(str(folder), "float32")
    with pytest.raises(ValueError, match="cannot be loaded as AutoModel"):
        weights.model("AutoModel")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin cannot be read as tensors"):
        weights.tensors("pytorch_model.bin")
    assert not mark.exists()


def test_safetensors_are_taken_where_they_are(sentences, tmp_path):
    folder = shutil.copytree(sentences, tmp_path / "both")
    (folder / "pytorch_model.bin").write_bytes(b"damaged")
    assert pretrained.parse(str(folder), "float32").model("AutoModel", ("pooler.",)) is not None
