"""Tables come back as they were written, in the same bytes each time; a wrong one is named with its column."""

import hashlib
import io
import os
import re
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from versat2i.formats import tables
from versat2i.formats.measures import Measure

steady = settings(derandomize=True, max_examples=10, deadline=None)

HOSTILE = [
    "",
    " ",
    "a\0b",
    "two\nlines\r\n",
    "\u202eright to left",
    "\U0001f468\u200d\U0001f467",
    '",;\t\\',
    "NaN",
    "null",
]
NULLABLE = {"score", "abstained", "details"}

texts = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = {
    pa.string(): texts,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.bool_(): st.booleans(),
    pa.list_(pa.string()): st.lists(texts, max_size=3),
}
counts = st.integers(1, 2**63 - 1)
RULED = {
    "prompt_id": st.from_regex("[A-Za-z0-9_-]{1,64}", fullmatch=True),
    "text": texts.filter(lambda text: text and not re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text)),
    "k": counts | st.just(0),
    "rival": counts | st.just(0),
    "gap": st.floats(0, allow_infinity=False),
    "offset": counts | st.just(0),
    **dict.fromkeys(("rank", "step", "size", "width", "height"), counts),
}
"""What may stand in columns that have a rule of their own."""


def rows_of(kind):
    """Lists of rows that fit a kind of table."""
    fields = {field.name: RULED.get(field.name, VALUES[field.type]) for field in tables.SCHEMAS[kind]}
    fields |= {name: fields[name] | st.none() for name in NULLABLE & fields.keys()}
    keys = tables.KEYS[kind]
    rows = st.fixed_dictionaries(fields).filter(lambda row: row.get("score", 0) is not None or row.get("abstained"))
    return st.lists(rows, max_size=5, unique_by=lambda row: tuple(row[key] for key in keys))


def frame(kind, rows):
    columns = {field.name: [row[field.name] for row in rows] for field in tables.SCHEMAS[kind]}
    kinds = {pa.int64(): "int64", pa.float64(): "float64"}
    types = {field.name: kinds.get(field.type, object) for field in tables.SCHEMAS[kind]}
    return pd.DataFrame({name: pd.Series(values, dtype=types[name]) for name, values in columns.items()})


def plain(table):
    """Rows as Python values, whatever pandas makes of them."""
    return [
        {
            name: list(value) if not pd.api.types.is_scalar(value) else None if pd.isna(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def prompts(**changes):
    return pd.DataFrame({"prompt_id": ["p"], "text": ["a star"], "source": ["s"], "category": [""]} | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.parquet"


def refused(path, kind="prompts"):
    """The one line that refuses the table."""
    with pytest.raises(ValueError) as error:
        tables.read(kind, path)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


@pytest.mark.parametrize("kind", tables.SCHEMAS)
def test_what_is_written_is_read_back(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "table.parquet"

    @steady
    @given(rows_of(kind))
    def check(rows):
        tables.write(kind, frame(kind, rows), path)
        assert plain(tables.read(kind, path)) == rows

    check()


@pytest.mark.parametrize("kind", tables.SCHEMAS)
def test_a_table_without_rows_keeps_its_columns(kind, path):
    tables.write(kind, frame(kind, []), path)
    assert list(tables.read(kind, path).columns) == tables.SCHEMAS[kind].names


def test_columns_that_the_schema_does_not_have_are_left_out(path):
    tables.write("prompts", prompts(note=["mine"]), path)
    assert "note" not in tables.read("prompts", path)


@steady
@given(rows_of("evaluation"), st.randoms(use_true_random=False))
@example([], None)
def test_equal_rows_are_equal_bytes_whatever_the_frame_looks_like(tmp_path_factory, rows, random):
    path = tmp_path_factory.mktemp("tables") / "table.parquet"
    one = frame("evaluation", rows)
    columns = list(one.columns)
    if random:
        random.shuffle(columns)
    other = one[columns].assign(more=1)
    other.index = [f"row {n}" for n in range(len(rows))]
    tables.write("evaluation", one, path)
    first = path.read_bytes()
    tables.write("evaluation", other, path)
    assert path.read_bytes() == first


def test_equal_rows_are_equal_bytes_in_another_process(path):
    code = (
        "import sys, pandas as pd; from pathlib import Path; from versat2i.formats import tables\n"
        "tables.write('losses', pd.DataFrame({'step': [1, 2], 'loss': [0.5, 0.25]}), Path(sys.argv[1]))"
    )
    tables.write("losses", pd.DataFrame({"step": [1, 2], "loss": [0.5, 0.25]}), path)
    first = hashlib.sha256(path.read_bytes()).digest()
    path.unlink()
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, path], env=environment, check=True)
    assert hashlib.sha256(path.read_bytes()).digest() == first


def test_a_table_says_nothing_about_the_version_of_pandas(path):
    tables.write("prompts", prompts(), path)
    assert not pq.read_schema(path).metadata


def test_a_missing_table_says_what_to_run(path):
    assert "dvc repro" in refused(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"prompt_id,text\n", bytes(100)])
def test_what_is_no_parquet_is_refused(path, content):
    path.write_bytes(content)
    assert "not a readable Parquet file" in refused(path)


def test_a_table_cut_off_anywhere_is_refused(path):
    tables.write("prompts", prompts(), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 29):
        path.write_bytes(whole[:length])
        assert "not a readable Parquet file" in refused(path)


def test_a_table_with_a_flipped_byte_is_refused_in_one_line_or_read(path):
    tables.write("prompts", prompts(), path)
    whole = path.read_bytes()
    refusals = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            tables.read("prompts", path)
        except ValueError:
            refused(path)
            refusals += 1
    assert refusals > len(whole) / 7 / 2


def test_a_missing_column_is_named_with_those_that_are_there(path):
    prompts().drop(columns="text").rename(columns={"source": "text_"}).to_parquet(path)
    assert "column 'text' is missing (found: prompt_id, text_, category)" in refused(path)


@pytest.mark.parametrize("value", [1, 1.5, True, b"bytes", ["a", "b"]])
def test_a_column_of_another_type_is_named(path, value):
    prompts(text=[value]).to_parquet(path)
    assert "column 'text' is " in refused(path)


@pytest.mark.parametrize("value", ["1", 1.0, 2**63])
def test_a_number_of_another_kind_is_named(path, value):
    pd.DataFrame({"step": [value], "loss": [0.5]}).to_parquet(path)
    assert "step" in refused(path, "losses") or "wrong type" in refused(path, "losses")


def test_narrower_numbers_are_the_same_numbers(path):
    narrow = pa.table({"step": pa.array([1, 2], pa.int8()), "loss": pa.array([0.5, 0.25], pa.float32())})
    pq.write_table(narrow, path)
    assert plain(tables.read("losses", path)) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def test_an_empty_value_is_named_where_one_is_needed(path):
    prompts(text=[None]).to_parquet(path)
    assert "column 'text' has 1 empty values" in refused(path)


@pytest.mark.parametrize("value", [None, 1, b"\xff", ["a"]])
def test_a_frame_that_does_not_fit_is_not_written(path, value):
    with pytest.raises(ValueError, match=r"table\.parquet: column 'text'"):
        tables.write("prompts", prompts(text=[value]), path)
    assert not path.exists()


@pytest.mark.parametrize("value", ["one", 1.5, None, 2**63])
def test_a_number_that_does_not_fit_is_not_written(path, value):
    with pytest.raises(ValueError, match=r"table\.parquet: column 'step'"):
        tables.write("losses", pd.DataFrame({"step": [value], "loss": [0.5]}), path)
    assert not path.exists()


def test_a_loss_that_is_not_a_number_is_not_written(path):
    with pytest.raises(ValueError, match="column 'loss' has 1 empty values"):
        tables.write("losses", pd.DataFrame({"step": [1], "loss": [float("nan")]}), path)


def test_a_frame_without_a_column_is_not_written(path):
    with pytest.raises(ValueError, match="without source, category"):
        tables.write("prompts", prompts().drop(columns=["source", "category"]), path)


def test_texts_are_in_the_order_of_the_table(path):
    tables.write("prompts", pd.concat([prompts(prompt_id=["b"]), prompts(prompt_id=["a"], text=["x"])]), path)
    assert list(tables.texts(path).items()) == [("b", "a star"), ("a", "x")]


def repeated(rows, text):
    """A small file of many equal rows: each text is there once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    table = pa.table(dict.fromkeys(tables.SCHEMAS["prompts"].names, column))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, store_schema=False)
    return buffer.getvalue()


def test_a_few_bytes_that_stand_for_gigabytes_are_not_unpacked(path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_BYTES", 2**24)
    path.write_bytes(repeated(1_000_000, "x" * 2000))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="its rows are more than 16777216 bytes") as error:
        tables.read("prompts", path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_many_rows_come_back_in_order(path):
    """They are unpacked in parts."""
    rows = {"step": range(1, 5001), "loss": [n / 7 for n in range(5000)]}
    tables.write("losses", pd.DataFrame(rows), path)
    pd.testing.assert_frame_equal(tables.read("losses", path), pd.DataFrame(rows))


def test_judged_are_those_with_a_score_and_no_reason_against_it():
    """A score beside a reason (an image that was blacked out) does not count, nor does a reason alone."""
    rows = [("a", 0, 0.5, None), ("a", 1, None, "blank"), ("b", 0, 0.9, "blacked out"), ("b", 1, 0.0, None)]
    scores = pd.DataFrame(rows, columns=["prompt_id", "k", "score", "abstained"])
    found = tables.judged(scores)
    assert list(zip(found["prompt_id"], found["k"], strict=True)) == [("a", 0), ("b", 1)]


def test_a_column_that_is_left_out_is_neither_read_nor_checked(path, monkeypatch):
    scores = pd.DataFrame({"prompt_id": ["p"], "k": [0], "score": [0.5], "merit": [0.5], "abstained": [None]})
    tables.write("scores", scores.assign(details="x" * 100_000), path)
    monkeypatch.setattr(tables, "MOST_BYTES", 1000)
    assert plain(tables.read("scores", path, without=["details"])) == plain(scores)
    assert "its rows are more than 1000 bytes" in refused(path, "scores")


def test_measures_are_told_without_reading_a_row(path, monkeypatch):
    about = [Measure(metric="m", evaluator="e", licence="l")]
    scores = pd.DataFrame({"prompt_id": ["p"], "k": [0], "score": [0.5], "merit": [0.5], "abstained": [None]})
    tables.write("scores", scores.assign(details=None), path, about)
    monkeypatch.setattr(tables, "MOST_BYTES", 0)
    assert tables.measures(path) == about
