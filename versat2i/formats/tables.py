"""The Parquet tables of the pipeline: a declared schema each, checked on every read and write."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from versat2i.formats import measures as packing
from versat2i.formats.measures import Measure
from versat2i.work import files

_STRINGS = pa.list_(pa.string())

SCHEMAS: dict[str, pa.Schema] = {
    "prompts": pa.schema(
        [
            ("prompt_id", pa.string()),
            ("text", pa.string()),
            ("source", pa.string()),
            ("category", pa.string()),
        ]
    ),
    "questions": pa.schema(
        [
            ("prompt_id", pa.string()),
            ("question_id", pa.string()),
            ("question", pa.string()),
            ("choices", _STRINGS),
            ("answer", pa.string()),
            ("element_type", pa.string()),
            ("parent_ids", _STRINGS),
        ]
    ),
    "index": pa.schema(
        [
            ("prompt_id", pa.string()),
            ("k", pa.int64()),
            ("seed", pa.int64()),
            ("member", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
            ("width", pa.int64()),
            ("height", pa.int64()),
            ("flagged", pa.bool_()),
        ]
    ),
    "scores": pa.schema(
        [
            ("prompt_id", pa.string()),
            ("k", pa.int64()),
            ("score", pa.float64()),  # as the evaluator gives it
            ("merit", pa.float64()),  # the score, or its negative where lower is better
            ("abstained", pa.string()),
            ("details", pa.string()),
        ]
    ),
    "picks": pa.schema(
        [
            ("prompt_id", pa.string()),
            ("k", pa.int64()),
            ("text", pa.string()),
            ("score", pa.float64()),
            ("rank", pa.int64()),
            ("member", pa.string()),
            ("rival", pa.int64()),
            ("gap", pa.float64()),
        ]
    ),
    "evaluation": pa.schema(
        [
            ("metric", pa.string()),
            ("prompt_id", pa.string()),
            ("k", pa.int64()),
            ("score", pa.float64()),
            ("merit", pa.float64()),
            ("abstained", pa.string()),
            ("details", pa.string()),
        ]
    ),
    "losses": pa.schema([("step", pa.int64()), ("loss", pa.float64())]),
}
"""`abstained` is the reason of an abstention or null; `details` is JSON or null."""

NULLABLE = {"score", "merit", "abstained", "details"}

KEYS = {
    "prompts": ["prompt_id"],
    "questions": ["prompt_id", "question_id"],
    "index": ["prompt_id", "k"],
    "scores": ["prompt_id", "k"],
    "picks": ["prompt_id", "k"],
    "evaluation": ["metric", "prompt_id", "k"],
    "losses": ["step"],
}
"""Key columns of each table: no two rows have the same values in them."""

_LEAST = {"k": 0, "rival": 0, "gap": 0, "rank": 1, "step": 1, "offset": 0, "size": 1, "width": 1, "height": 1}

LONGEST_TEXT = 2000  # characters of a prompt; a text encoder reads a few hundred at most
LONGEST = 1_000_000  # characters of any other text; the answers of an evaluator to all questions stand in one
_NAME, _CONTROL = "^[A-Za-z0-9_-]{1,64}$", r"[\x00-\x08\x0e-\x1f\x7f]"

MOST_BYTES = 2**31 - 1  # of a table in memory; a million scores without their details have a thirtieth of it
_BATCH = 1024  # rows unpacked before they are weighed
_SMALL = 100_000  # rows; handing fewer to other threads takes longer than the work


def write(kind: str, frame: pd.DataFrame, path: Path, about: Sequence[Measure] = ()) -> None:
    """Write a table of a kind in `SCHEMAS`; the same rows give the same bytes.

    Args:
        kind: of the table.
        frame: its rows.
        path: the file.
        about: what its scores measure; `measures` reads it.

    Raises:
        ValueError: the frame does not fit the schema.
    """
    schema = SCHEMAS[kind]
    missing = [name for name in schema.names if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: cannot write a {kind} table without {', '.join(missing)}")
    # not by Table.from_pandas: its metadata holds pandas' version, and a newer one would change every hash
    table = pa.Table.from_arrays([_column(frame[field.name], field, path) for field in schema], schema=schema)
    _check_values(kind, table, path)
    if about:
        table = table.replace_schema_metadata(packing.packed(about))
    with files.new_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def _column(values: pd.Series, field: pa.Field, path: Path) -> pa.Array:
    try:
        column = pa.array(values, field.type, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: column {field.name!r} does not fit {field.type} ({_line(error)})") from None
    _check_nulls(column, field, path)
    return column


def _check_nulls(column: pa.Array | pa.ChunkedArray, field: pa.Field, path: Path) -> None:
    if column.null_count and field.name not in NULLABLE:
        raise ValueError(f"{path}: column {field.name!r} has {column.null_count} empty values")


def _check_values(kind: str, table: pa.Table, path: Path) -> None:
    """Check what a schema cannot express: ranges of numbers, form of texts, duplicate rows."""
    for name in table.column_names:
        column, where = table.column(name), f"{path}: column {name!r}"
        if pa.types.is_floating(column.type):
            _expect(pc.is_finite(column), column, where, "a finite number")
        if name in _LEAST:
            _expect(pc.greater_equal(column, _LEAST[name]), column, where, f"at least {_LEAST[name]}")
        if _is_text(column.type):
            most = LONGEST_TEXT if name == "text" else LONGEST
            _expect(pc.less_equal(pc.utf8_length(column), most), column, where, f"at most {most} characters")
        if name == "prompt_id":  # it becomes a part of file names
            _expect(pc.match_substring_regex(column, _NAME), column, where, "letters, digits, - and _")
        if name == "text":
            _expect(pc.greater(pc.utf8_length(column), 0), column, where, "a text")
            _expect(pc.invert(pc.match_substring_regex(column, _CONTROL)), column, where, "no control characters")
    if {"score", "abstained"} <= set(table.column_names):
        explained = pc.or_(pc.is_valid(table.column("score")), pc.is_valid(table.column("abstained")))
        _expect(explained, table.column("score"), f"{path}: column 'score'", "a number, or a reason in 'abstained'")
    if "merit" in table.column_names:
        there = pc.or_(pc.is_valid(table.column("merit")), pc.is_null(table.column("score")))
        _expect(there, table.column("merit"), f"{path}: column 'merit'", "a number where there is a score")
    keys = table.group_by(KEYS[kind], use_threads=table.num_rows > _SMALL)
    if keys.aggregate([]).num_rows < table.num_rows:
        raise ValueError(f"{path}: two rows have one {' and '.join(KEYS[kind])}. Delete the file and run `dvc repro`")


def _expect(fits: pa.ChunkedArray, column: pa.ChunkedArray, where: str, words: str) -> None:
    """Raise an error that shows the first value that does not fit; an empty one always does."""
    wrong = np.flatnonzero(~pc.fill_null(fits, True).to_numpy(zero_copy_only=False))
    if len(wrong):
        value = repr(column[int(wrong[0])].as_py())
        raise ValueError(f"{where} is {value[:80]} in row {wrong[0] + 1}, expected {words}")


def _same_kind(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Texts are texts and numbers of one kind are numbers, however wide; a column of nulls is anything."""
    kinds = (_is_text, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_list)
    return pa.types.is_null(found) or any(kind(found) and kind(wanted) for kind in kinds)


def _is_text(found: pa.DataType) -> bool:
    return pa.types.is_string(found) or pa.types.is_large_string(found)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def read(kind: str, path: Path, without: Collection[str] = ()) -> pd.DataFrame:
    """Read a table and check it against its schema.

    Args:
        kind: of the table.
        path: the file.
        without: columns to leave out, neither read nor checked: `details` may be most of a table.

    Raises:
        ValueError: the file is missing or no Parquet file, a column is missing or of another type,
            or a value is missing where one is needed.
    """
    schema = pa.schema([field for field in SCHEMAS[kind] if field.name not in without])
    table = _load(path, without)
    for field in schema:
        if table.column_names.count(field.name) > 1:
            raise ValueError(f"{path}: column {field.name!r} is there twice. Delete the file and run `dvc repro`")
        if field.name not in table.column_names:
            found = ", ".join(table.column_names)
            raise ValueError(
                f"{path}: column {field.name!r} is missing (found: {found}). Delete the file and run `dvc repro`"
            )
        column = table.column(field.name)
        _check_nulls(column, field, path)
        if not _same_kind(column.type, field.type):
            raise ValueError(
                f"{path}: column {field.name!r} is {column.type}, expected {field.type}. "
                "Delete the file and run `dvc repro`"
            )
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: a column has the wrong type ({_line(error)})") from None
    _check_values(kind, table, path)
    return table.to_pandas(use_threads=table.num_rows > _SMALL)


def unpacked(file: BinaryIO | pa.NativeFile, without: Collection[str] = ()) -> pa.Table:
    """A Parquet file in memory, without some of its columns.

    A few bytes may stand for a text a billion times over: rows are unpacked batch by batch, until there are too many.

    Raises:
        ValueError: the table has more than `MOST_BYTES`; `pa.ArrowException`, OSError: it is damaged.
    """
    parquet = pq.ParquetFile(file)
    # a schema of its own, since names may occur twice
    schema = pa.schema([field for field in parquet.schema_arrow if field.name not in without])
    batches, size, threads = [], 0, parquet.metadata.num_rows > _SMALL
    for batch in parquet.iter_batches(_BATCH, columns=schema.names if without else None, use_threads=threads):
        size += batch.nbytes
        if size > MOST_BYTES:
            raise ValueError(f"its rows are more than {MOST_BYTES} bytes")
        batches.append(batch)
    return pa.Table.from_batches(batches, schema.with_metadata(parquet.schema_arrow.metadata)).combine_chunks()


def _load(path: Path, without: Collection[str] = ()) -> pa.Table:
    """A Parquet file as it is, but for columns that are not read."""
    try:
        # a file object: by its path, pyarrow would also read a folder, and columns from the names of those above
        with path.open("rb") as file:
            table = unpacked(file, without)
            table.validate(full=True)
            return table
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such table. Run `dvc repro` (or `dvc pull`) first") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: not a readable Parquet file ({_line(error)}). Delete it and run `dvc repro`"
        ) from None


def measures(path: Path) -> list[Measure]:
    """Read the measures of a table, as `write` stored them.

    Raises:
        ValueError: the file is missing or no Parquet file, or does not say.
    """
    columns = [name for schema in SCHEMAS.values() for name in schema.names]
    try:
        return packing.unpacked(_load(path, columns).schema.metadata)
    except packing.Unsaid as error:
        raise ValueError(f"{path}: {error}. Delete the file and run `dvc repro`") from None


def texts(path: Path) -> dict[str, str]:
    """prompt_id -> text of a prompt table, in its order."""
    frame = read("prompts", path)
    return dict(zip(frame["prompt_id"], frame["text"], strict=True))


def judged(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows that did not abstain: they have a score and no reason against it."""
    return scores[scores["score"].notna() & scores["abstained"].isna()]
