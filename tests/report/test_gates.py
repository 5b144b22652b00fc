"""Layers come in the order of the denoiser, and each has the gate of each expert."""

import pytest

from versat2i.formats import metrics
from versat2i.report import gates


def written(path, names, mean_gates):
    metrics.write_json({"experts": [{"name": name} for name in names], "mean_gates": mean_gates}, path)
    return metrics.read_json(path), path


def test_block_ten_comes_after_block_nine(tmp_path):
    layers = ["up.0", "down.10.attn", "down.9.attn", "mid.x", "down.9.0"]
    table = gates.layers(*written(tmp_path / "mixture.json", ["a", "b"], {name: [0.25, 0.75] for name in layers}))
    assert list(table.index) == ["down.9.attn", "down.9.0", "down.10.attn", "mid.x", "up.0"]
    assert table["b"].tolist() == [0.75] * 5


@pytest.mark.parametrize("mean_gates", [None, {}, [], {"down.0": [1.0], "down.1": [0.5, 0.5]}, {"down.0": ["x", "y"]}])
def test_a_layer_without_an_expert_is_an_error_that_says_what_to_run(tmp_path, mean_gates):
    with pytest.raises(ValueError, match=r"expected the gate of each expert .* Run `dvc repro mix@mixture`"):
        gates.layers(*written(tmp_path / "mixture.json", ["a", "b"], mean_gates))


def test_an_expert_whose_name_is_no_text_is_the_same_error(tmp_path):
    recipe = {"experts": [{"name": ["a"]}, {"name": "b"}], "mean_gates": {"down.0": [0.5, 0.5]}}
    with pytest.raises(ValueError, match=r"mixture.json: expected the gate of each expert"):
        gates.layers(recipe, tmp_path / "mixture.json")
