"""Layers come in the order of the denoiser, and each has the gate of each expert."""

import pytest

from versat2i import layout
from versat2i.report import gates


def written(path, content):
    layout.write_json(content, path)
    return path


def test_block_ten_comes_after_block_nine(tmp_path):
    names = ["up.0", "down.10.attn", "down.9.attn", "mid.x", "down.9.0"]
    path = written(tmp_path / "gates.json", {name: {"a": 0.5, "b": 0.5} for name in names})
    assert list(gates.layers(path).index) == ["down.9.attn", "down.9.0", "down.10.attn", "mid.x", "up.0"]


@pytest.mark.parametrize("content", [{}, {"down.0": {"a": 1.0}, "down.1": {"a": 0.5, "b": 0.5}}])
def test_a_layer_without_an_expert_is_an_error_that_says_what_to_run(tmp_path, content):
    with pytest.raises(ValueError, match=r"expected the gate of each expert .* Run `dvc repro mix@mixture`"):
        gates.layers(written(tmp_path / "gates.json", content))
