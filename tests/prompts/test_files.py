"""Prompts are read from plain files as they stand there; what cannot be read is named."""

import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from written import FORMATS, encoded, refused, texts

from versat2i.formats import tables
from versat2i.prompts import files
from versat2i.prompts.records import MAX_LENGTH, normalise, to_tables

steady = settings(derandomize=True, max_examples=25, deadline=None)


def is_prompt(text):
    try:
        # at the start of a file these are signs of JSON and of UTF-8
        sign = text.startswith(('{"', '[{"', "\ufeff"))
        return not sign and not re.search(r"[\t\r\n]", text) and bool(normalise(text))
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


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_a_text_of_several_lines_is_one_prompt(put, kind):
    assert texts(put(f"p.{kind}", encoded(kind, ["a\nb", "c"]))) == ["a\nb", "c"]


@pytest.mark.parametrize("column", ["text", "prompt", "caption", "Prompt"])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "txt"])
def test_the_column_of_texts_has_one_of_several_names(put, kind, column):
    path = put(f"p.{kind}", encoded(kind, ["a star"], column, category=["object"], other=["x"]))
    (prompt,) = files.read(path)
    assert (prompt.text, prompt.source, prompt.category) == ("a star", f"p.{kind}", "object")


def test_blank_lines_are_no_prompts(put):
    assert texts(put("p.txt", b"a star\n\n  \r\na cross\r\n\n")) == ["a star", "a cross"]


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "parquet"])
def test_a_byte_order_mark_is_no_part_of_the_first_text(put, kind):
    path = put(f"p.{kind}", b"\xef\xbb\xbf" + encoded(kind, ["a star", "a cross"]))
    assert texts(path) == ["a star", "a cross"]


def test_a_line_of_text_ends_where_its_line_ends(put):
    path = put("p.txt", "one\u2028line\x0bof text\r\nanother\rand\x85a third\n".encode())
    assert texts(path) == ["one\u2028line\x0bof text", "another", "and\x85a third"]


def test_quotation_marks_in_a_tsv_file_belong_to_the_text(put):
    path = put("p.tsv", b'Prompt\tCategory\n"STOP" on a sign\tSigns\n6" nails\t\n')
    assert [(prompt.text, prompt.category) for prompt in files.read(path)] == [
        ('"STOP" on a sign', "Signs"),
        ('6" nails', ""),
    ]


def test_a_category_that_is_missing_is_empty(put):
    path = put("p.jsonl", b'{"text": "a", "category": "x"}\n{"text": "b"}\n{"text": "c", "category": null}\n')
    assert [prompt.category for prompt in files.read(path)] == ["x", "", ""]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_file_is_named(tmp_path, kind):
    assert refused(tmp_path / f"p.{kind}").endswith("there is no such prompt file")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_file_is_refused(put, kind):
    refused(put(f"p.{kind}", b""))


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "parquet"])
def test_a_file_without_rows_has_no_prompt(put, kind):
    assert refused(put(f"p.{kind}", encoded(kind, []))).endswith("has no prompt")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "txt"])
def test_a_missing_column_is_named_with_those_that_are_there(put, kind):
    line = refused(put(f"p.{kind}", encoded(kind, ["a"], "words", more=["b"])))
    assert line.endswith("has no column text, prompt or caption (found: more, words)")


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "json", "jsonl"])
def test_what_is_not_utf8_is_refused_with_its_line_and_the_remedy(put, kind):
    data = encoded(kind, ["a star", "cafX"])
    line = refused(put(f"p.{kind}", data.replace(b"X", b"\xe9")))
    place = data[: data.index(b"X")].count(b"\n") + 1
    assert f"not a readable {kind} file (line {place}: byte 0xe9 is no UTF-8 (in Windows-1252 it is 'é')" in line
    assert "iconv -f WINDOWS-1252 -t UTF-8" in line


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "parquet"])
def test_a_mark_says_in_which_utf_a_file_is_written(put, kind, encoding):
    path = put("p", encoded(kind, ["caf\u00e9", "50 \u20ac"], category=["x", "y"]).decode().encode(encoding))
    assert texts(path, format=kind) == ["caf\u00e9", "50 \u20ac"]
    if kind != "txt":
        assert texts(path) == ["caf\u00e9", "50 \u20ac"]


@pytest.mark.parametrize(
    "name, data",
    [
        ("p.jsonl", b'{"text": "a"'),
        ("p.jsonl", b"a star\n"),
        ("p.csv", b'text\n"a star\n'),
        ("p.csv", b"text\na\nb,c\n"),
        ("p.csv", b"text,category\na\n"),
        ("p.csv", b"text,Text\na,b\n"),
        ("p.tsv", b"text\tcategory\na star\n"),
        ("p.json", b"a star\n"),
        ("p.json", b'[{"text": "a"}, "b"]'),
        ("p.json", b'{\n"text": "a"}'),
        ("p.json", b"[" * 100_000),
        ("p.jsonl", b'{"text": "a"}\n["b"]\n'),
        ("p.jsonl", b'{"text": "a", "Text": "b"}\n'),
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
        ("p.jsonl", b'{"text": "a"}\n\n{"text": 1}\n'),
        ("p.json", b'[{"text": "a"}, {"text": true}]'),
        ("p.jsonl", b'{"text": "a"}\n{"text": null}\n'),
        ("p.jsonl", b'{"text": "a"}\n{"text": ["b"]}\n'),
        ("p.jsonl", b'{"text": "a"}\n{"text": "  "}\n'),
        ("p.csv", b'text,category\na,x\n"",y\n'),
        ("p.parquet", encoded("parquet", ["a", None])),
    ],
)
def test_what_is_no_text_is_named_by_its_place(put, name, data):
    place = {"p.json": "entry 2", "p.parquet": "row 2"}.get(name, f"line {data.count(bytes([10]))}")
    line = refused(put(name, data))
    assert f": {place}: text is " in line and line.endswith(", expected a text")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text, problem", [("a\0b", "control characters"), ("x" * (MAX_LENGTH + 1), "characters")])
def test_a_text_that_is_no_prompt_is_named_by_its_place(put, kind, text, problem):
    place = {"csv": "line 3", "tsv": "line 3", "json": "entry 2", "parquet": "row 2"}.get(kind, "line 2")
    line = refused(put(f"p.{kind}", encoded(kind, ["a star", text])))
    assert f": {place}: text is a text " in line and problem in line


def test_a_line_that_is_no_json_is_named(put):
    assert "(line 3: expected one JSON object a line: " in refused(put("p.jsonl", b'{"text": "a"}\n\nb\n'))


def test_the_line_of_a_csv_row_is_that_where_it_starts(put):
    path = put("p.csv", b'text,category\n"a\nb\nc",x\n"",y\n')
    assert ": line 5: text is ''" in refused(path)


def test_half_a_character_is_refused(put):
    assert "control characters" in refused(put("p.jsonl", b'{"text": "\\ud800"}\n'))


@pytest.mark.parametrize(
    "name, data",
    [
        ("p.json", b'["a red kite", "two cups, one of them blue"]'),
        ("p", b'[\n  "a red kite",\n  "two cups, one of them blue"\n]'),
        ("p.jsonl", b'"a red kite"\n"two cups, one of them blue"\n'),
        ("p.json", b'{"prompts": ["a red kite", "two cups, one of them blue"]}'),
        ("p.json", b'{"data": [{"text": "a red kite"}, {"text": "two cups, one of them blue"}]}'),
        ("p.csv", b'prompt,category,,\na red kite,x,,\n"two cups, one of them blue",x,,\n,,,\n'),
        ("p.csv", b'id, prompt, category\n1, a red kite, x\n2, "two cups, one of them blue", x\n'),
        ("p.csv", b"prompt;category\na red kite;x\ntwo cups, one of them blue;x\n"),
        ("p", b"prompt;category\na red kite;x\ntwo cups, one of them blue;x\n"),
        ("p.csv", b"sep=;\r\nprompt;category\r\na red kite;x\r\ntwo cups, one of them blue;x\r\n"),
        ("p.csv", b'note,Prompts,note\n1,a red kite,2\n3,"two cups, one of them blue",4\n'),
    ],
)
def test_what_spreadsheets_and_programs_write_is_read(put, name, data):
    assert texts(put(name, data)) == ["a red kite", "two cups, one of them blue"]


def test_a_text_with_a_comma_but_without_quotation_marks_is_refused_with_the_remedy(put):
    line = refused(put("p.csv", b"prompt,category,,\na kite, above a lake,outdoor,,\n"))
    assert "line 2 has 3 cells, the header has 2; the last one is 'outdoor'" in line and "quotation marks" in line


@pytest.mark.parametrize(
    "value, label",
    [
        ("NaN", ""),
        ("null", ""),
        ("1.0", "1"),
        ("2.5", "2.5"),
        ("7", "7"),
        ("true", "True"),
        ('["a", "b"]', "a, b"),
        ('{"a": 1}', ""),
        ('"a\\u0000b"', ""),
        ('" x  y "', "x y"),
    ],
)
def test_a_label_never_refuses_a_file(put, value, label):
    path = put("p.json", f'[{{"prompt": "a red kite", "category": {value}, "nobody": {value}}}]'.encode())
    (prompt,) = files.read(path)
    assert prompt.category == label


def test_numbers_and_nothing_in_a_column_of_labels_of_a_table_are_labels(put):
    path = put("p.parquet", encoded("parquet", ["a kite", "two cups"], category=[1.0, float("nan")]))
    assert [prompt.category for prompt in files.read(path)] == ["1", ""]


def test_options_of_a_sample_prompt_and_comments_are_no_part_of_what_is_drawn(put):
    path = put(
        "p.txt",
        b"# pictures to draw while training\n"
        b"a red kite --n blurry, text --w 768 --h 512 --d 7 --s 28 --l 7.5\n"
        b"two cups --n people\n#1 on a door\na star\n",
    )
    counts = Counter()
    assert [p.text for p in files.read(path, counts=counts)] == ["a red kite", "two cups", "#1 on a door", "a star"]
    assert counts == {"comments": 1, "stripped": 2}


def test_a_comment_is_one_in_a_text_file_only(put):
    assert texts(put("p.json", b'["# a sign"]')) == ["# a sign"]
    assert "all other lines are comments" in refused(put("p.txt", b"# one\n# two\n"))


def test_the_syntax_of_other_tools_is_taken_off_in_every_format(put):
    assert texts(put("p.jsonl", b'{"text": "(a kite:1.2), <lora:x:1>"}')) == ["a kite"]


def test_a_prompt_of_nothing_but_syntax_is_refused_with_its_line(put):
    line = refused(put("p.txt", b"a kite\n<lora:x:1>\n"))
    assert ": line 2: text is '<lora:x:1>', which is nothing but another tool's syntax. Delete it" in line


def test_prompts_of_a_benchmark_are_kept_as_they_were_published(put):
    rows = b"item_id,text,proposition_id,dependency,question_natural_language\nm_1,a kite --ar 16:9,1,0,Is it?\n"
    assert texts(put("p.csv", rows)) == ["a kite --ar 16:9"]


SOUND = [
    encoded(kind, ["a star", "a cross"], question=["Is it?", "Is it not?"], answer=["yes", "no"], choices=["", ""])
    for kind in FORMATS
] + [
    b"item_id,text,proposition_id,dependency,question_natural_language\na_1,a star,1,0,Is it?\na_1,a star,2,1,Red?\n",
    b'{"tag": "x", "include": [{"class": "star", "count": 2, "position": ["above", 0]}], "prompt": "two stars"}\n',
    b'[{"text": "a", "question": "Is it?", "answer": 1, "choices": [1, 2], "question_id": 1, "parent_ids": []}]',
]
PIECES = [b'"', b"\t", b",", b"\n", b"\r", b"\0", b"[", b"]", b"{", b"}", b":", b"null", b"1e999", b"\xff", b"\\ud800"]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.sampled_from(SOUND), st.lists(st.tuples(st.integers(0, 400), st.sampled_from(PIECES), st.booleans()), max_size=4)
)
def test_a_damaged_file_is_read_or_refused_in_one_line_that_names_it(tmp_path_factory, data, damage):
    for place, piece, instead in damage:
        data = data[:place] + piece + data[place + instead * len(piece) :]
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(data)
    try:
        found = files.read(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        tables_of = to_tables(found)
        for kind, table in zip(("prompts", "questions"), tables_of, strict=False):
            tables.write(kind, table, path.with_suffix(f".{kind}"))
