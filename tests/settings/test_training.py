"""How experts are trained and united is said without defaults, or refused in one line."""

import pytest
from param_text import changed, refused

from versat2i.settings import params
from versat2i.settings.training import Merge, foreign_loras

DISTILLED = {
    **{"kind": "distilled", "weights": {"geometry": 0.5, "low_level": 1.0}, "rank": None, "states": [5.0, 2.0]},
    **{"steps": 9, "batch_size": 3, "learning_rate": 0.1, "lr_scheduler": "constant", "caption_dropout": 0.0},
    **{"draw_steps": 8, "guidance_scale": 1.0},
}


@pytest.mark.parametrize("value", [[0.6, 0.6], [0.0, 600], ["0", 1], [0.5], [0.0, 0.5, 1.0], 0.5])
def test_a_range_of_timesteps_is_two_rising_shares(value):
    assert refused(changed("train_lora.geometry.timesteps", value)).startswith("train_lora.geometry.timesteps")


def test_a_merge_has_a_kind_and_nothing_else():
    assert isinstance(params.parse(changed("mix.both", {"kind": "ties"})).mix["both"], Merge)
    assert refused(changed("mix.both", {"kind": "tyes"})).startswith(
        "mix.both.kind is 'tyes': input should be 'gates', "
    )
    assert refused(changed("mix.both", {"steps": 3})) == "mix.both.kind is missing"
    assert refused(changed("mix.both", {"kind": "ties", "steps": 3})).startswith("mix.both.steps is not a parameter")


@pytest.mark.parametrize("rule", [{"kind": "constant", "weights": DISTILLED["weights"]}, DISTILLED])
def test_weights_are_those_of_the_experts(rule):
    assert params.parse(changed("mix.own", rule)).mix["own"].weights == rule["weights"]
    line = refused(changed("mix.own", rule | {"weights": {"geometry": 1.0, "low_levle": 1.0}}))
    assert line.startswith("mix.own.weights: 'low_levle' is none of the experts (geometry, low_level). Did you mean")
    line = refused(changed("mix.own", rule | {"weights": {"geometry": 1.0}}))
    assert line == "mix.own.weights: expert 'low_level' has none; write 0.0 to leave it out"
    assert refused(changed("mix.own", rule | {"weights": {"geometry": -1.0}})).startswith("mix.own.weights.geometry")


def test_a_lora_made_elsewhere_has_a_name_of_its_own_and_a_weight():
    elsewhere = {"ink": "loras/ink.safetensors"}
    settings = params.parse(changed("mix.uniform", {"kind": "uniform", "foreign": elsewhere}))
    assert foreign_loras(settings.mix["uniform"]) == elsewhere and foreign_loras(settings.mix["mixture"]) == {}
    line = refused(changed("mix.uniform", {"kind": "uniform", "foreign": {"geometry": "x"}}))
    assert line == "mix.uniform.foreign: 'geometry' is another variant's name; give it one of its own"
    rule = {"kind": "constant", "weights": {"geometry": 1.0, "low_level": 1.0}, "foreign": elsewhere}
    assert refused(changed("mix.own", rule)).startswith("mix.own.weights: expert 'ink' has none")
    assert "is not a parameter" in refused(changed("mix.both", {"kind": "joint", "foreign": elsewhere}))


@pytest.mark.parametrize("name", sorted(set(DISTILLED) - {"kind"}))
def test_a_distilled_variant_has_no_defaults(name):
    rule = {key: value for key, value in DISTILLED.items() if key != name}
    assert refused(changed("mix.own", rule)) == f"mix.own.{name} is missing"
