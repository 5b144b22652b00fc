"""Models from anybody: damaged ones are named, and none of them runs its code."""

import json
import pickle
import shutil

import damage
import pytest
import torch

from versat2i.models import diffusion
from versat2i.settings.params import Model

WEIGHTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")


def load(folder):
    """A picture drawn by the model of a folder."""
    loaded = diffusion.load(Model(path=str(folder), dtype="float32", threads=1))
    return loaded.draw(loaded.embed(["a red circle"]), loaded.embed([""]), [0], 1, 2.0)


@pytest.fixture
def copied(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "copied")


def complaint(folder):
    """What is wrong with how a spoilt model is taken; None: nothing."""
    try:
        load(folder)
    except ValueError as error:
        line = str(error)
        return None if str(folder) in line and "\n" not in line else line[:300]
    except Exception as error:
        return repr(error)[:300]
    return "was taken as sound"


# what diffusers and transformers do without: they have defaults for it, or the same is in another file
SPARE = ("README.md", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json")


def test_a_file_that_is_missing_or_damaged_is_one_line(copied, counts):
    wrong = {}
    files = sorted(path for path in copied.rglob("*") if path.is_file() and path.name not in SPARE)
    assert len(files) > 5
    for path in files:
        sound = path.read_bytes()
        for title in ("missing", "empty", "cut off", "garbage", "a pickle"):
            spoilt = dict(damage.of_any_file())[title](sound)
            path.unlink()
            if spoilt is not None:
                path.write_bytes(spoilt)
            said = complaint(copied)
            counts["bad inputs to readers, files of a model: tried"] += 1
            counts["bad inputs to readers, files of a model: refused in one line"] += said is None
            if said is not None:
                wrong[f"{path.relative_to(copied)} {title}"] = said
            path.write_bytes(sound)
    assert wrong == {}


class Malicious:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_a_pickle_in_place_of_weights_is_never_opened(copied, tmp_path, name, ending):
    (copied / f"{name}.safetensors").unlink()
    pickled = "pytorch_model.bin" if name.startswith("text") and ending == ".bin" else f"{name.split('/')[1]}{ending}"
    target = copied / name.split("/")[0] / pickled
    for write in (lambda: target.write_bytes(pickle.dumps(Malicious(tmp_path / "trace"))), lambda: _by_torch(target)):
        write()
        assert complaint(copied) is None
        assert not (tmp_path / "trace").exists()


def _by_torch(target):
    torch.save({"weight": Malicious(target.parents[2] / "trace")}, target)


@pytest.mark.parametrize("library", ["evil", "os", "versat2i.shapes", "builtins", "diffusers_modules", "..", ""])
@pytest.mark.parametrize("part", ["unet", "scheduler", "a_part_more"])
def test_a_part_of_another_library_is_not_imported(copied, tmp_path, monkeypatch, library, part):
    (copied / "evil.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    shutil.copy(copied / "evil.py", copied / "unet" / "evil.py")
    monkeypatch.syspath_prepend(copied)
    index = json.loads((copied / "model_index.json").read_text())
    (copied / "model_index.json").write_text(json.dumps(index | {part: [library, "Evil"]}))
    with pytest.raises(ValueError, match=rf"copied: {part} is of {library!r}, expected one of diffusers, transformers"):
        load(copied)
    assert not (tmp_path / "trace").exists()
