"""A mixture survives its folder, and a damaged folder is refused."""

import json

import pytest
import tiny
import torch
from mixed import INPUTS, SCOPES, attach, experts, run
from torch import nn

from versat2i.adapters import mixture, mixture_files
from versat2i.adapters.gated_layer import MixedLinear
from versat2i.adapters.mixture_files import EXPERTS, GATES, RECIPE
from versat2i.formats import recipe as recipes


@pytest.mark.parametrize("scope", SCOPES)
def test_saved_and_loaded_mixture_gives_the_same_bits(scope, tmp_path):
    model, mixed = attach(scope, spread=0.5)
    run(model)
    for folder in ("one", "two"):
        mixture_files.save(mixed, tmp_path / folder, {"base": "tiny", "revision": "0", "more": "x"})
    other = tiny.unet()
    loaded = mixture_files.load(other, tmp_path / "one")
    assert torch.equal(run(other), run(model))
    assert recipes.read(tmp_path / "one").metadata["base"] == "tiny"
    mixture_files.save(loaded, tmp_path / "three", {"base": "tiny", "revision": "0", "more": "x"})
    for name in (RECIPE, EXPERTS, GATES):
        assert len({(tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three")}) == 1


def test_global_random_state_is_untouched(tmp_path):
    model = tiny.unet()
    before = torch.get_rng_state()
    mixed = mixture.attach(model, experts(model), "token")
    run(model)
    mixture_files.save(mixed, tmp_path, {})
    mixed.detach()
    mixture_files.load(model, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [RECIPE, EXPERTS, GATES])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_damaged_mixture_gives_one_clear_line_and_leaves_the_model_alone(name, damage, tmp_path):
    mixed = attach("token")[1]
    mixture_files.save(mixed, tmp_path, {})
    path = tmp_path / name
    other = {RECIPE: EXPERTS, EXPERTS: GATES, GATES: RECIPE}
    if damage == "gone":
        path.unlink()
    else:
        content = path.read_bytes() if damage == "cut" else (tmp_path / other[name]).read_bytes()
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    model = tiny.unet()
    with pytest.raises(ValueError, match=name) as caught:
        mixture_files.load(model, tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert all(type(module) is not MixedLinear for module in model.modules())


def test_recipe_that_disagrees_with_the_weights_is_refused(tmp_path):
    mixture_files.save(attach("token")[1], tmp_path, {})
    recipe = json.loads((tmp_path / RECIPE).read_text())
    recipe["experts"][1]["rank"] = 5
    (tmp_path / RECIPE).write_text(json.dumps(recipe))
    with pytest.raises(ValueError, match="does not hold expert geometry at rank 5"):
        mixture_files.load(tiny.unet(), tmp_path)


def test_mixture_of_another_model_is_refused(tmp_path):
    mixture_files.save(attach("token")[1], tmp_path, {})
    with pytest.raises(ValueError, match=r"to be \[8, 8\].*\[12, 12\]. Use the base model they were trained on"):
        mixture_files.load(tiny.unet(channels=(4, 12)), tmp_path)
    with pytest.raises(ValueError, match=r"which this Linear lacks. Use the base model they were trained on"):
        mixture_files.load(nn.Linear(2, 2), tmp_path)


@pytest.mark.parametrize("scope", INPUTS)
def test_a_saved_mixture_collapses_as_it_would_have_before(scope, tmp_path):
    model, mixed = attach(scope, spread=0.5)
    run(model)
    mixture_files.save(mixed, tmp_path, {})
    before, after = mixture.collapse(mixed, "mixture"), mixture_files.collapsed(tmp_path, "mixture")
    assert before.up.keys() == after.up.keys() and before.scale == after.scale
    for module in before.up:
        products = [adapter.up[module].flatten(1) @ adapter.down[module].flatten(1) for adapter in (after, before)]
        torch.testing.assert_close(*products)
    loaded = mixture_files.load(tiny.unet(), tmp_path)
    assert all(torch.allclose(loaded.mean_gates()[module], mean) for module, mean in mixed.mean_gates().items())


def test_a_mixture_that_saw_no_image_cannot_be_collapsed_from_its_folder(tmp_path):
    mixture_files.save(attach("token")[1], tmp_path, {})
    with pytest.raises(ValueError, match=r"has no mean gates to bake in. Run `dvc repro mix`"):
        mixture_files.collapsed(tmp_path, "mixture")


@pytest.mark.parametrize("mean", [[0.5, 0.5], [2.0, -1.0, 0.0], [float("nan"), 0.5, 0.5]])
def test_mean_gates_that_are_none_are_refused(mean, tmp_path):
    model, mixed = attach("token", spread=0.5)
    run(model)
    mixture_files.save(mixed, tmp_path, {})
    recipe = json.loads((tmp_path / RECIPE).read_text())
    recipe["mean_gates"][next(iter(recipe["mean_gates"]))] = mean
    (tmp_path / RECIPE).write_text(json.dumps(recipe))
    other = tiny.unet()
    with pytest.raises(ValueError, match=r"mixture.json.*(expected are 3 numbers|finite|number)"):
        mixture_files.load(other, tmp_path)
    assert not any(isinstance(module, MixedLinear) for module in other.modules())
