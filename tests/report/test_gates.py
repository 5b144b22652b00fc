"""Layers come in the order of the denoiser, and each has the gate of each expert."""

import json

import pytest

from versat2i.formats import recipe as recipes
from versat2i.report import gates


def saved(folder, names, mean_gates):
    experts = [{"name": name, "rank": 2, "alpha": 2.0, "metadata": {}} for name in names]
    recipe = {"scope": "token", "experts": experts, "metadata": {}, "mean_gates": mean_gates}
    (folder / "mixture.json").write_text(json.dumps(recipe))
    return folder


def test_block_ten_comes_after_block_nine(tmp_path):
    layers = ["up.0", "down.10.attn", "down.9.attn", "mid.x", "down.9.0"]
    folder = saved(tmp_path, ["a", "b"], {name: [0.25, 0.75] for name in layers})
    table = gates.layers(recipes.read(folder), folder)
    assert list(table.index) == ["down.9.attn", "down.9.0", "down.10.attn", "mid.x", "up.0"]
    assert table["b"].tolist() == [0.75] * 5


@pytest.mark.parametrize("mean_gates", [None, {}, [], {"down.0": [1.0], "down.1": [0.5, 0.5]}, {"down.0": ["x", "y"]}])
def test_a_layer_without_an_expert_is_an_error_that_says_what_to_run(tmp_path, mean_gates):
    folder = saved(tmp_path, ["a", "b"], mean_gates)
    with pytest.raises(ValueError, match=r"mixture.json: .*[Rr]un `dvc repro mix") as error:
        gates.layers(recipes.read(folder), folder)
    assert "\n" not in str(error.value)


def test_an_expert_whose_name_is_no_text_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"mixture.json: experts.0.name: input should be a valid string"):
        recipes.read(saved(tmp_path, [["a"], "b"], {"down.0": [0.5, 0.5]}))
