"""params.yaml is taken as it stands or refused in one line that says what and where."""

import math
from pathlib import Path

import drawn
import pytest
from param_text import TEXT, changed, refused
from ruamel.yaml import YAML

from versat2i.settings import params

SHIPPED = Path(__file__).parents[2] / "params.yaml"

PLACES = [
    *(
        "seed",
        "model.dtype",
        "select.low_level.margin",
        "evaluate.resamples",
        "generate.safety",
        "select.geometry.guard",
    ),
    *(f"train_lora.geometry.{name}" for name in ("objective", "lr_scheduler", "timesteps", "min_snr")),
    *(f"mix.mixture.{name}" for name in ("objective", "scale", "lr_scheduler", "timesteps", "min_snr")),
]
"""Of each kind one that has no default, and all that once had one."""


def test_the_params_in_the_repository_load():
    loaded = params.load(SHIPPED)
    assert {"base", *loaded.aspects} <= set(loaded.evaluate.variants)


def test_what_is_written_is_what_is_read():
    loaded = params.parse(TEXT)
    assert loaded.aspects == ["geometry", "low_level"]
    assert loaded.train_lora["geometry"].learning_rate == 0.001
    assert loaded.train_lora["geometry"].alpha == 8.0
    assert loaded.prompts.dev[0].held_out == 0.5


def test_what_an_evaluator_does_not_share_with_others_is_its_option():
    loaded = params.parse(TEXT)
    assert loaded.rewards["low_level"].options == {"window": 7}
    assert loaded.rewards["geometry"].options == {}


def test_params_cannot_be_changed_once_read():
    with pytest.raises(ValueError, match="frozen"):
        params.parse(TEXT).seed = 1


@pytest.mark.parametrize(
    "place, meant",
    [
        ("sed", "seed"),
        ("train_lora.geometry.lerning_rate", "learning_rate"),
        ("select.geometry.threshold.quantil", "quantile"),
        ("prompts.train.0.heldout", "held_out"),
        ("evaluate.varants", "variants"),
        ("mix.mixture.ballance", "balance"),
    ],
)
def test_a_misspelt_name_gets_the_one_that_was_meant(place, meant):
    line = refused(changed(place, 1))
    assert line.startswith(f"{place} is not a parameter. Did you mean {meant!r}?")


def test_a_name_like_no_other_gets_no_guess():
    assert refused(changed("xyzzy", 1)) == "xyzzy is not a parameter"


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_parameter_is_named(place):
    assert refused(changed(place)) == f"{place} is missing"


@pytest.mark.parametrize(
    "place, value",
    [
        ("seed", "0"),
        ("seed", 0.5),
        ("generate.steps", True),
        ("generate.steps", 12.0),
        ("generate.steps", 0),
        ("generate.guidance_scale", 0.9),
        ("generate.guidance_scale", float("nan")),
        ("generate.guidance_scale", float("inf")),
        ("model.dtype", "float31"),
        ("model.threads", -1),
        ("select.geometry.threshold.quantile", 1.0),
        ("select.geometry.margin", -0.1),
        ("train_lora.geometry.learning_rate", 1.5),
        ("train_lora.geometry.learning_rate", [0.1]),
        ("train_lora.geometry.caption_dropout", 1.01),
        ("train_lora.geometry.targets", "everything"),
        ("train_lora.geometry.lr_scheduler", "cosine"),
        ("mix.mixture.scope", "times"),
        ("evaluate.variants", []),
        ("evaluate.resamples", 99),
        ("evaluate.split", "train"),
        ("prompts.train", []),
        ("prompts.dev.0.held_out", -0.5),
        ("aspects", []),
        ("select", 3),
    ],
)
def test_a_wrong_type_or_value_is_shown_where_it_stands(place, value):
    assert refused(changed(place, value)).startswith(f"{place} is {value!r}: ")


@pytest.mark.parametrize("name", ["Geometry", "low level", "1st", "../up", "a" * 41, ""])
def test_an_aspect_is_a_plain_name(name):
    assert refused(changed("aspects", [name])).startswith(f"aspects.0 is {name!r}: ")


@pytest.mark.parametrize("text, value", [("1e-4", 1e-4), ("1e-05", 1e-5), ("3E-3", 0.003)])
def test_a_number_is_read_in_any_spelling_that_dvc_writes(text, value):
    loaded = params.parse(TEXT.replace("1.0e-3", text))
    assert loaded.train_lora["geometry"].learning_rate == value


def test_several_problems_are_counted():
    assert refused(TEXT.replace("steps: 12", "steps: 0")).endswith("(and 1 more)")


@pytest.mark.parametrize("section", ["rewards", "select", "train_lora"])
def test_an_aspect_without_an_entry_is_named_with_the_section(section):
    line = refused(changed(f"{section}.low_level"))
    assert line == f"aspect 'low_level' is in 'aspects' but has no entry in '{section}'"


def test_an_entry_without_an_aspect_does_no_harm():
    assert params.parse(changed("aspects", ["geometry"])).aspects == ["geometry"]


def test_an_evaluator_has_a_name():
    assert refused(changed("rewards.geometry", {"evaluater": "x"})) == "rewards.geometry.evaluator is missing"


@pytest.mark.parametrize("threshold", [{}, {"absolute": 0.5, "quantile": 0.5}])
def test_a_threshold_is_absolute_or_a_quantile(threshold):
    line = refused(changed("select.geometry.threshold", threshold))
    assert line == "select.geometry.threshold: give either 'absolute' or 'quantile'"


@pytest.mark.parametrize(
    "environment, problem",
    [
        ({"name": "two"}, "rewards.geometry.environment.lock is missing"),
        ({"name": "Two!", "lock": "l"}, "rewards.geometry.environment.name is 'Two!': "),
        ({"name": "two", "lock": "l", "python": "3"}, "rewards.geometry.environment.python is not a parameter"),
        ("two", "rewards.geometry.environment is 'two': "),
    ],
)
def test_an_environment_has_a_name_and_a_lock_and_nothing_of_a_machine(environment, problem):
    good = params.parse(changed("rewards.geometry.environment", {"name": "two", "lock": "l"})).rewards["geometry"]
    assert good.environment.lock == "l" and good.options == {}
    assert refused(changed("rewards.geometry.environment", environment)).startswith(problem)


@pytest.mark.parametrize(
    "model, problem",
    [
        ({}, "give either 'path' or 'repo'"),
        ({"path": "x", "repo": "a/b", "revision": "c"}, "give either 'path' or 'repo'"),
        ({"repo": "a/b"}, "'repo' needs a 'revision'"),
        ({"repo": "a/b", "revision": ""}, "'repo' needs a 'revision'"),
        ({"repo": "a/b", "revision": "main"}, "revision 'main' may be another one tomorrow; give a commit hash"),
        ({"repo": "a/b", "revision": "fp16"}, "revision 'fp16' may be another one tomorrow"),
        ({"repo": "a/b", "revision": "refs/pr/1"}, "revision 'refs/pr/1' may be another one tomorrow"),
    ],
)
def test_a_model_is_a_folder_or_a_repository_at_a_revision(model, problem):
    assert refused(changed("model", model | {"dtype": "float32", "threads": 1})).startswith(f"model: {problem}")


def test_an_unknown_variant_gets_those_that_there_are_and_the_close_one():
    line = refused(changed("evaluate.variants", ["base", "unifrom"]))
    assert line == (
        "evaluate.variants: 'unifrom' is none of base, geometry, low_level, mixture, uniform. Did you mean 'uniform'?"
    )


def test_a_merge_that_is_not_made_cannot_be_evaluated():
    assert "'svd' is none of" in refused(changed("evaluate.variants", ["base", "svd"]))


def test_a_guard_is_another_aspect():
    line = refused(changed("select.geometry.guard", ["low_levle"]))
    assert "select.geometry.guard: 'low_levle' is none of the other aspects (low_level). Did you mean" in line
    assert "'geometry' is none of" in refused(changed("select.geometry.guard", ["geometry"]))


def test_without_base_there_is_nothing_to_measure_against():
    assert "'base' is missing" in refused(changed("evaluate.variants", ["geometry"]))


def test_no_two_variants_have_one_name():
    assert "'geometry' is named twice" in refused(changed("aspects", ["geometry", "geometry"]))
    assert "'base' is named twice" in refused(changed("mix.base", {"kind": "sum"}))
    assert "'geometry' is there twice" in refused(changed("evaluate.variants", ["base", "geometry", "geometry"]))


@pytest.mark.parametrize("name", ["mixed_precision", "vae_tiling"])
def test_what_the_model_computes_in_is_written_out(name):
    assert refused(changed(f"model.{name}")) == f"model.{name} is missing"


@pytest.mark.parametrize("name", ["base", "mixture"])
def test_an_aspect_is_not_named_like_another_variant(name):
    content = YAML(typ="safe").load(TEXT)
    content["aspects"] = [name]
    for section in ("rewards", "select", "train_lora"):
        content[section][name] = content[section]["geometry"]
    assert f"{name!r} is named twice" in refused(drawn.yaml_text(content))


@pytest.mark.parametrize("text", ["seed: [", "a: b: c", "\tseed: 0", "seed: \0", "seed: !!python/object:os.system x"])
def test_what_is_no_yaml_is_said_to_be_none(text):
    assert refused(text).startswith("not valid YAML: ")


def test_a_date_that_does_not_exist_is_no_yaml_either():
    assert refused(TEXT.replace("seed: 0", "seed: 2020-13-45")).startswith("not valid YAML: ")


@pytest.mark.parametrize("text, found", [("", "NoneType"), ("[]", "list"), ("3", "int"), ("seed", "str")])
def test_what_is_no_mapping_is_said_to_be_none(text, found):
    assert refused(text) == f"expected sections (seed, aspects, model, ...), found {found}"


def test_a_name_that_is_no_text_is_shown():
    assert refused("1: 2\n" + TEXT).startswith("1 is 1: keys should be strings")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("seed: é".encode("latin-1"))
    for name in ("missing.yaml", "latin.yaml", "."):
        with pytest.raises(ValueError, match="cannot be read"):
            params.load(tmp_path / name)


def test_an_error_names_the_file_that_was_read(tmp_path):
    (tmp_path / "sdxl.yaml").write_text("seed: 0")
    with pytest.raises(ValueError, match=r"^sdxl\.yaml: "):
        params.load(tmp_path / "sdxl.yaml")


def test_the_entry_of_an_aspect_is_found_or_the_close_one_named():
    select = params.parse(TEXT).select
    assert params.entry(select, "geometry", "select") is select["geometry"]
    with pytest.raises(ValueError) as error:
        params.entry(select, "geometri", "select")
    assert str(error.value) == (
        "params.yaml: select has no entry 'geometri' (it has geometry, low_level). Did you mean 'geometry'?"
    )


def leaves(content, place=()):
    """The places of all values that are no sections."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    below = [leaf for key, value in items for leaf in leaves(value, (*place, str(key)))]
    return below or [".".join(place)]


HOSTILE = [
    *("", "x" * 90_000, "a\0b", "../..", "\u202e", "<b>"),
    *(-1, 2**70, 1.5, float("nan"), float("inf"), True, [], {}),
]


def put(content, place, value):
    """Params with another value at a place of `leaves`."""
    if not place:
        return value
    key, rest = place[0], place[1:]
    if isinstance(content, list):
        return [put(each, rest, value) if str(n) == key else each for n, each in enumerate(content)]
    return content | {key: put(content[key], rest, value)}


def at(content, place):
    for key in place:
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


@pytest.mark.parametrize("place", leaves(YAML(typ="safe").load(TEXT)))
def test_a_hostile_value_is_refused_in_one_line_that_names_its_place_or_is_of_the_right_type(place, counts):
    """A long text is not repeated, nor anything that would break the line."""
    content, where = YAML(typ="safe").load(TEXT), place.split(".")
    sound = at(content, where)
    for value in HOSTILE:
        counts["bad inputs tried on params"] += 1
        try:
            params.parse(drawn.yaml_text(put(content, where, value)))
        except ValueError as error:
            line = str(error)
            assert "\n" not in line and len(line) < 1000 and line.startswith("params.yaml: ")
            above = where[-2] if len(where) > 1 else place
            assert place in line or above in line, line
        else:
            if "window" in place:  # an evaluator looks at its own options
                continue
            if sound is None or isinstance(sound, bool):
                assert isinstance(value, bool if sound is False else float | int)
                continue
            real = isinstance(sound, float) or place.endswith("alpha")
            assert isinstance(value, (int, float) if real else type(sound)) and not isinstance(value, bool)
            assert real or value != 2**70
            assert not isinstance(value, float) or math.isfinite(value)


def started(text, variants=("base", "first", "geometry")):
    """The text with earlier rounds in the base."""
    content = YAML(typ="safe").load(text)
    content["model"]["start"] = ["rounds/1", "rounds/2"]
    content["evaluate"]["variants"] = list(variants)
    return drawn.yaml_text(content)


def test_with_earlier_rounds_the_first_base_is_a_variant_and_has_to_be():
    model = params.parse(started(TEXT)).model
    assert model.start == ("rounds/1", "rounds/2") and model.first.start == ()
    assert "'first' is missing" in refused(started(TEXT, ["base", "geometry"]))
    assert "'first' is the base without model.start" in refused(changed("evaluate.variants", ["base", "first"]))
    assert "'first' is named twice" in refused(started(changed("mix.first", {"kind": "sum"})))
    assert params.parse(changed("mix.first", {"kind": "sum"})).mix["first"].kind == "sum"


def test_earlier_rounds_are_folders_each_once():
    assert "rounds/1 is there twice" in refused(changed("model.start", ["rounds/1", "rounds/1"]))
    assert "model.start" in refused(changed("model.start", "rounds/1"))
