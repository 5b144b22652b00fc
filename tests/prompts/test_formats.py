"""The format of a file is told by its content, its ending or its name."""

from typing import get_args

import pandas as pd
import pytest
from written import FORMATS, encoded, refused, texts

from versat2i.prompts import files, formats
from versat2i.settings.sources import Format


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "txt"])
@pytest.mark.parametrize("name", ["prompts", "prompts.txt", "prompts.csv", "prompts.data"])
def test_the_content_says_the_format_whatever_the_name(put, kind, name):
    path = put(name, encoded(kind, ["a star", "a cross"], category=["x", "y"]))
    assert [(prompt.text, prompt.category) for prompt in files.read(path)] == [("a star", "x"), ("a cross", "y")]


def test_the_ending_says_the_format_where_the_content_may_be_several(put):
    assert texts(put("P.TXT", b"text\na star\n")) == ["text", "a star"]
    assert texts(put("p.csv", b"text\na star\n")) == ["a star"]
    assert texts(put("p.txt", b"a text, a prompt, a caption\n")) == ["a text, a prompt, a caption"]


def test_a_column_without_a_name_comes_first_where_pandas_wrote_its_index(put):
    frame = pd.DataFrame({"text": ["a star"]})
    assert texts(put("p", frame.to_csv().encode())) == ["a star"]
    assert texts(put("q", frame.to_csv(sep="\t").encode())) == ["a star"]


def test_a_given_format_is_taken(put):
    assert texts(put("prompts.list", b"a star\n"), format="txt") == ["a star"]
    assert texts(put("p.csv", b"text,category\na,b\n"), format="txt") == ["text,category", "a,b"]


@pytest.mark.parametrize("name", ["p.xlsx", "p"])
def test_what_no_sign_tells_must_be_named(put, name):
    assert "name the format: one of txt, csv, tsv, json, jsonl, parquet" in refused(put(name, b"a star\n"))


def test_a_format_that_is_not_known_is_named_with_those_that_are(put):
    line = refused(put("p.txt", b"a star\n"), format="xlsx")
    assert line.endswith("the format 'xlsx' is none of auto, txt, csv, tsv, json, jsonl, parquet")


def test_params_take_the_formats_that_there_are():
    assert get_args(Format) == ("auto", *formats.KINDS)
