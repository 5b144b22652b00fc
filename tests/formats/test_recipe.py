"""A mixture's recipe is read by one function, and refused in one line where it is damaged."""

import json

import pytest

from versat2i.formats import recipe as recipes

EXPERTS = [{"name": name, "rank": 2, "alpha": 4.0, "metadata": {}} for name in ("a", "b")]
WHOLE = {"scope": "token", "experts": EXPERTS, "metadata": {"revision": "r"}, "mean_gates": {"down.0": [0.25, 0.75]}}


def read(folder, **changes):
    (folder / "mixture.json").write_text(json.dumps(WHOLE | changes))
    return recipes.read(folder)


def test_a_recipe_says_what_a_mixture_consists_of(tmp_path):
    found = read(tmp_path)
    assert [(expert.name, expert.rank, expert.alpha) for expert in found.experts] == [("a", 2, 4.0), ("b", 2, 4.0)]
    assert found.mean_gates == {"down.0": [0.25, 0.75]} and found.metadata["revision"] == "r"
    assert read(tmp_path, mean_gates=None).mean_gates is None


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"scope": "pixel"}, "scope: input should be 'token', 'image', 'layer', 'time' or 'prompt'"),
        ({"experts": [EXPERTS[0] | {"name": ["a"]}]}, "experts.0.name: input should be a valid string"),
        ({"more": 1}, "more: "),
        ({"mean_gates": {"down.0": [0.5]}}, r"mean_gates.down.0 is \[0.5\], expected are 2 numbers from 0 to 1"),
        ({"mean_gates": {"down.0": [1.5, -0.5]}}, r"mean_gates.down.0 is .*, expected are 2 numbers from 0 to 1"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(tmp_path, changes, said):
    with pytest.raises(ValueError, match=rf"mixture.json: {said}.* Delete it and run `dvc repro mix`"[:200]) as error:
        read(tmp_path, **changes)
    assert "\n" not in str(error.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"mixture.json: there is no such file. Run `dvc repro`"):
        recipes.read(tmp_path)
