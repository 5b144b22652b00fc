"""Old keys are told with their new names, one line each."""

from versat2i.settings import renamed


def test_each_key_of_the_old_mix_has_its_line():
    old = {"mix": {"scope": "token", "steps": 4, "variants": ["mixture", "svd"]}}
    assert renamed.in_params(old) == [
        "mix.scope is now mix.mixture.scope, in a section that begins with `kind: gates`",
        "mix.steps is now mix.mixture.steps, in a section that begins with `kind: gates`",
        "mix.variants is now a section of mix for each variant, e.g. `uniform: {kind: uniform}`",
    ]


def test_the_old_variants_are_listed_by_name():
    [line] = renamed.in_params({"evaluate": {"variants": {"base": "model", "geometry": "data/adapters/geometry"}}})
    assert line == (
        "evaluate.variants is now a list of names: `variants: [base, geometry]`; `make graph` knows the paths"
    )


def test_a_variant_may_be_called_as_an_old_key():
    assert renamed.in_params({"mix": {"scale": {"kind": "sum"}}, "evaluate": {"variants": ["base"]}}) == []
    assert renamed.in_params({"mix": None}) == []


def test_tiling_is_a_param_now():
    assert renamed.in_compute({"vae_tiling": True}) == [
        "vae_tiling is now model.vae_tiling in params.yaml: it can change an image"
    ]
    assert renamed.in_compute({"device": "cpu"}) == [] and renamed.in_compute(None) == []
