"""safetensors files depend on their content alone, to the byte."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load

from versat2i.formats import tensors

steady = settings(derandomize=True, max_examples=25, deadline=None)

METADATA = {f"key {n}": str(n) for n in range(8)}
WRITE = """
import sys
from pathlib import Path
import torch
from versat2i.formats import tensors
weights = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(3, dtype=torch.float16)}
tensors.write(weights, Path(sys.argv[1]), {f"key {n}": str(n) for n in reversed(range(8))})
"""


def weights():
    return {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(3, dtype=torch.float16)}


def test_equal_content_is_equal_bytes_in_another_process_and_order(tmp_path):
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", WRITE, tmp_path / "other"], env=environment, check=True)
    tensors.write(dict(reversed(weights().items())), tmp_path / "one", METADATA)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_writing_again_gives_the_same_bytes(tmp_path):
    written = set()
    for _ in range(20):  # 8! orders of the keys: 20 equal ones are no accident
        tensors.write(weights(), tmp_path / "file", METADATA)
        written.add((tmp_path / "file").read_bytes())
    assert len(written) == 1


names = st.text(st.characters(codec="utf-8"), max_size=6)


@steady
@given(
    st.dictionaries(names.filter(lambda name: name != "__metadata__"), st.integers(0, 3)), st.dictionaries(names, names)
)
@example({"a": 2}, {"nul": "\0", "lines": "a\nb", "mark": "\u202e", "emoji": "\U0001f600", "": ""})
def test_tensors_and_metadata_come_back(tmp_path_factory, sizes, metadata):
    path = tmp_path_factory.mktemp("tensors") / "file"
    content = {name: torch.full((size, 2), float(size)) for name, size in sizes.items()}
    tensors.write(content, path, metadata)
    found, notes = tensors.read(path)
    assert notes == metadata
    assert found.keys() == content.keys()
    assert all(torch.equal(found[name], content[name]) for name in content)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_types_come_back_and_views_are_written_as_they_look(tmp_path, dtype):
    whole = torch.arange(12).view(3, 4).to(dtype)
    views = {"turned": whole.T, "part": whole[1:, 2:]}
    tensors.write(views, tmp_path / "file")
    found, _ = tensors.read(tmp_path / "file")
    for name, view in views.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], view)


def test_the_file_is_one_that_safetensors_itself_reads(tmp_path):
    tensors.write(weights(), tmp_path / "file", METADATA)
    found = load((tmp_path / "file").read_bytes())
    assert all(torch.equal(found[name], value) for name, value in weights().items())


def test_the_data_begin_at_a_multiple_of_8_bytes_whatever_the_metadata(tmp_path):
    for length in range(9):
        tensors.write(weights(), tmp_path / "file", {"note": "x" * length})
        assert int.from_bytes((tmp_path / "file").read_bytes()[:8], "little") % 8 == 0


def test_a_weight_that_is_trained_is_written_without_its_history(tmp_path):
    tensors.write({"a": torch.ones(2, requires_grad=True)}, tmp_path / "file")
    assert not tensors.read(tmp_path / "file")[0]["a"].requires_grad


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"file: there is no such file\. Run `dvc repro`"):
        tensors.read(tmp_path / "file")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "file"
    tensors.write(weights(), path, METADATA)
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"file: not a readable safetensors file .* Delete it"):
            tensors.read(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        tensors.read(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused_with_their_name(tmp_path, value):
    tensors.write({"a": torch.ones(2), "b": torch.tensor([1.0, value])}, tmp_path / "file")
    with pytest.raises(ValueError, match="file: b holds numbers that are not finite"):
        tensors.read(tmp_path / "file")
