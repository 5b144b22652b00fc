"""Prompts are read from plain files as they stand there; what cannot be read is named."""

import io
import json

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from versat2i.prompts import files
from versat2i.prompts.records import MAX_LENGTH, normalise

steady = settings(derandomize=True, max_examples=25, deadline=None)

FORMATS = ("txt", "csv", "jsonl", "parquet")


def encoded(kind, texts, column="text", **columns):
    """A file's bytes in a format."""
    frame = pd.DataFrame({column: texts} | columns)
    if kind == "txt":
        return "".join(f"{text}\n" for text in texts).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in frame.to_dict("records")).encode()
    buffer = io.BytesIO()
    getattr(frame, f"to_{kind}")(buffer, index=False)
    return buffer.getvalue()


@pytest.fixture
def put(tmp_path):
    """``put(name, data)`` writes a file and returns its path."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def refused(path, **options):
    """The one line that refuses the file."""
    with pytest.raises(ValueError) as error:
        files.read(path, **options)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


def texts(path, **options):
    return [prompt.text for prompt in files.read(path, **options)]


def is_prompt(text):
    try:
        return len(text.splitlines()) == 1 and bool(normalise(text))
    except ValueError:
        return False


@pytest.mark.parametrize("kind", FORMATS)
def test_hostile_texts_come_back_as_they_were(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / f"prompts.{kind}"

    @steady
    @given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12).filter(is_prompt), min_size=1, max_size=4))
    @example(["NA", "null", "1", "1.0", "2020-01-01", "true", "-"])
    @example(['he said "a, b"', "semi;colon", "a\\nb", "'", "#"])
    @example(["\u202eright to left", "\U0001f468\u200d\U0001f467", "e\u0301", "\u200b"])
    def check(some):
        path.write_bytes(encoded(kind, some))
        assert texts(path) == some

    check()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_text_of_several_lines_is_one_prompt(put, kind):
    assert texts(put(f"p.{kind}", encoded(kind, ["a\nb", "c"]))) == ["a\nb", "c"]


@pytest.mark.parametrize("column", ["text", "prompt", "caption"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_column_of_texts_has_one_of_several_names(put, kind, column):
    path = put(f"p.{kind}", encoded(kind, ["a star"], column, category=["object"], other=["x"]))
    (prompt,) = files.read(path)
    assert (prompt.text, prompt.source, prompt.category) == ("a star", f"p.{kind}", "object")


def test_blank_lines_are_no_prompts(put):
    assert texts(put("p.txt", b"a star\n\n  \r\na cross\r\n\n")) == ["a star", "a cross"]


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_text(put, kind):
    path = put(f"p.{kind}", b"\xef\xbb\xbf" + encoded(kind, ["a star", "a cross"]))
    assert texts(path) == ["a star", "a cross"]


def test_the_ending_says_the_format_unless_it_is_given(put):
    assert texts(put("P.TXT", b"a star\n")) == ["a star"]
    assert texts(put("prompts.list", b"a star\n"), format="txt") == ["a star"]


def test_a_category_that_is_missing_is_empty(put):
    path = put("p.jsonl", b'{"text": "a", "category": "x"}\n{"text": "b"}\n{"text": "c", "category": null}\n')
    assert [prompt.category for prompt in files.read(path)] == ["x", "", ""]


@pytest.mark.parametrize("name", ["p.json", "p.xlsx", "p"])
def test_a_format_that_is_not_known_is_named_with_those_that_are(put, name):
    assert "is none of txt, csv, jsonl, parquet" in refused(put(name, b"a star\n"))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_file_is_named(tmp_path, kind):
    assert refused(tmp_path / f"p.{kind}").endswith("there is no such prompt file")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_file_is_refused(put, kind):
    refused(put(f"p.{kind}", b""))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_without_rows_has_no_prompt(put, kind):
    assert refused(put(f"p.{kind}", encoded(kind, []))).endswith("has no prompt")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_missing_column_is_named_with_those_that_are_there(put, kind):
    line = refused(put(f"p.{kind}", encoded(kind, ["a"], "words", more=["b"])))
    assert line.endswith("has no column text, prompt, caption (found: words, more)")


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
def test_what_is_not_utf8_is_refused(put, kind):
    data = encoded(kind, ["cafX"]).replace(b"X", b"\xe9")
    assert f"not a readable {kind} file" in refused(put(f"p.{kind}", data))


@pytest.mark.parametrize(
    "name, data",
    [
        ("p.jsonl", b'{"text": "a"'),
        ("p.jsonl", b"a star\n"),
        ("p.csv", b'text\n"a star\n'),
        ("p.csv", b"text\na\nb,c\n"),
        ("p.parquet", b"text\na star\n"),
        ("p.parquet", encoded("parquet", ["a star"])[:-9]),
    ],
)
def test_what_is_broken_is_refused(put, name, data):
    assert "not a readable" in refused(put(name, data))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_is_no_file(tmp_path, kind):
    (tmp_path / f"p.{kind}").mkdir()
    refused(tmp_path / f"p.{kind}")


@pytest.mark.parametrize(
    "name, data",
    [
        ("p.jsonl", b'{"text": "a"}\n{"text": 1}\n'),
        ("p.jsonl", b'{"text": "a"}\n{"text": null}\n'),
        ("p.jsonl", b'{"text": "a"}\n{"text": ["b"]}\n'),
        ("p.jsonl", b'{"text": "a"}\n{"text": "  "}\n'),
        ("p.csv", b'text,category\na,x\n"",y\n'),
        ("p.parquet", encoded("parquet", ["a", None])),
    ],
)
def test_what_is_no_text_is_named_by_its_number(put, name, data):
    line = refused(put(name, data))
    assert "prompt 2 is " in line and line.endswith(", expected a text")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text, problem", [("a\0b", "control characters"), ("x" * (MAX_LENGTH + 1), "characters")])
def test_a_text_that_is_no_prompt_is_named_by_its_number(put, kind, text, problem):
    line = refused(put(f"p.{kind}", encoded(kind, ["a star", text])))
    assert "prompt 2 is a prompt " in line and problem in line
