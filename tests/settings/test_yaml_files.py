"""Settings are read as they are meant, or refused in one line: no tag, no alias bomb, no number of two meanings."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.settings import params, yaml_files
from versat2i.work import fingerprint

STEPS = list(zip("abcdefgh", "bcdefghi", strict=True))
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in STEPS)
MERGES = "a: &a {k: 1}\n" + "".join(f"{b}: &{b}\n  <<: [{', '.join([f'*{a}'] * 9)}]\n" for a, b in STEPS)


def refused(text):
    """The one line that refuses the text."""
    with pytest.raises(ValueError) as error:
        yaml_files.parse(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


@pytest.mark.parametrize("name", ["params.yaml", "compute.yaml", "dvc.yaml"])
def test_the_projects_own_files_are_read_as_any_reader_reads_them(name):
    text = (fingerprint.ROOT / name).read_text()
    assert yaml_files.parse(text) == yaml.safe_load(text)


def test_what_is_written_plainly_is_read():
    text = "a: 5\nb: -3\nc: [+4, 0, 1.5e+3, .inf]\nd: {e: 'on', f: yes}\ng: null\nh: 2020-01-02\n"
    assert yaml_files.parse(text) == yaml.safe_load(text)
    assert yaml_files.parse("") is None


def test_a_key_beside_a_merge_overrides_it():
    assert yaml_files.parse("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}")["y"] == {"a": 3, "b": 2}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: {b: 1, b: 1}", "<<: {a: 1}\n<<: {b: 2}", "- {x: 1, 'x': 2}"])
def test_a_key_that_is_there_twice_is_named(text):
    assert "is there twice" in refused(text)


@pytest.mark.parametrize("number", ["010", "1:30", "1_000", "0x10", "0b1", "1_0.5", "1:30.5", "-012"])
def test_a_number_that_readers_disagree_on_is_shown(number):
    assert refused(f"seed: 1\na: {number}") == (
        f"line 2: {number} is another number to other readers; write it in plain digits"
    )


@pytest.mark.parametrize("text", [BOMB, MERGES])
def test_aliases_that_stand_for_millions_are_not_followed(text):
    assert "stands for more than 10000 values" in refused(text)


def test_a_value_that_holds_itself_is_no_value():
    assert refused("a: &a [1, *a]") == "line 1: a value that holds itself"
    assert refused("a: &a {b: *a}") == "line 1: a value that holds itself"


@pytest.mark.parametrize("text", ["[" * 100, "[" * 50_000, "{a: " * 5000, "- " * 90 + "x", f"a: {'[' * 40}{']' * 40}"])
def test_what_is_nested_too_deeply_is_refused(text):
    refused(text)


def test_a_text_of_a_megabyte_is_not_read():
    assert refused("a" * 2**20) == "it has 1048576 characters, at most 100000 are allowed"


TAGS = (
    "python/object:os.system",
    "python/name:os.system",
    "set",
    "omap",
    "pairs",
    "binary",
    "timestamp",
    "int",
    "null",
)


@pytest.mark.parametrize("tag", [*(f"!!{tag}" for tag in TAGS), "!x", "!<tag:example.org,2000:x>"])
def test_no_tag_has_a_meaning(tag):
    refused(f"a: {tag} x")
    refused(f"{tag} {{a: 1}}")
    refused(f"{tag} [a]")


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
TEXT = (Path(fingerprint.ROOT) / "params.yaml").read_text()


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
