"""Settings are read as DVC reads them, or refused in one line."""

from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from versat2i.settings import params, reader
from versat2i.work.fingerprint import ROOT

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


def refused(text):
    """The one line that refuses the text."""
    with pytest.raises(ValueError) as error:
        reader.parse(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


@pytest.mark.parametrize("name", ["params.yaml", "compute.yaml", *(f"presets/{name}.yaml" for name in PRESETS)])
def test_the_projects_own_files_are_read_as_dvc_reads_them(name):
    text = (ROOT / name).read_text()
    assert reader.parse(text) == YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-05", 1e-5),  # as DVC's `-S` writes 0.00001
        ("1e-4", 1e-4),
        ("2.5E+3", 2500.0),
        ("3e-06", 3e-6),
        ("010", 10),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("null", None),
        ("1:30", "1:30"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = reader.parse(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_dvc_writes_is_read_back(number):
    text = StringIO()
    YAML().dump({"rate": number}, text)
    assert reader.parse(text.getvalue()) == {"rate": number}


def test_nothing_is_none():
    assert reader.parse("") is None


@pytest.mark.parametrize(
    "text, line, key",
    [("a: 1\na: 2", 2, "a"), ("a: {b: 1, b: 1}", 1, "b"), ("- {x: 1, 'x': 2}", 1, "x"), ("a:\n  1: 2\n  1: 3", 3, "1")],
)
def test_a_key_that_is_there_twice_is_named(text, line, key):
    assert refused(text) == f"line {line}: '{key}' is there for the second time in one mapping. Keep one"


@pytest.mark.parametrize(
    "text, line, name",
    [
        ("a: &x {k: 1}\nb: *x", 2, "x"),
        ("a: &x {k: 1}\nb:\n  <<: *x\n  k: 2", 3, "x"),
        ("a: {t: &deep {q: 0}}\nb: {t: *deep}", 2, "deep"),
        ("a: &x 5\nb: *x", 2, "x"),
        ("a: &a [1, *a]", 1, "a"),
        ("a: &a [x, x]\n" + "b: [*a, *a, *a]\n" * 1000, 2, "a"),
    ],
)
def test_an_alias_is_refused_where_it_stands(text, line, name):
    assert refused(text).startswith(f"line {line}: the alias *{name} makes two places one mapping")


@pytest.mark.parametrize("text", ["[" * 100, "[" * 50_000, "{a: " * 5000, "- " * 90 + "x", f"a: {'[' * 40}{']' * 40}"])
def test_what_is_nested_too_deeply_is_refused(text):
    refused(text)


def test_a_text_of_a_megabyte_is_not_read():
    assert refused("a" * 2**20) == "it has 1048576 characters, at most 100000 are allowed"


@pytest.mark.parametrize("text", ["a: *b", "a: [", "a: b: c", "\tx: 1", "a: \0", "a: 1\n---\nb: 2", "a: 2020-13-45"])
def test_what_is_no_yaml_is_refused(text):
    refused(text)


PIECES = st.sampled_from(
    [
        ": ",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<",
        "!!",
        "'",
        '"',
        "|",
        ">",
        "#",
        "?",
        "0x",
        "1e9",
        "\0",
    ]
)
TEXT = (ROOT / "params.yaml").read_text()


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(TEXT)), PIECES, st.integers(0, 6)), min_size=1, max_size=5))
def test_params_with_pieces_out_of_place_are_read_or_refused_in_one_line(changes):
    text = TEXT
    for place, piece, instead in changes:
        text = text[:place] + piece + text[place + instead :]
    try:
        assert isinstance(params.parse(text), params.Params)
    except ValueError as error:
        assert str(error).startswith("params.yaml: ") and "\n" not in str(error) and len(str(error)) < 3000
