"""The Parquet tables of the pipeline: a declared schema each, checked on every read and write."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
            ("score", pa.float64()),
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
        ]
    ),
    "evaluation": pa.schema(
        [
            ("metric", pa.string()),
            ("prompt_id", pa.string()),
            ("k", pa.int64()),
            ("score", pa.float64()),
            ("abstained", pa.string()),
            ("details", pa.string()),
        ]
    ),
    "losses": pa.schema([("step", pa.int64()), ("loss", pa.float64())]),
}
"""`abstained` is the reason of an abstention or null; `details` is JSON or null."""

_NULLABLE = {"score", "abstained", "details"}


def write(kind: str, frame: pd.DataFrame, path: Path) -> None:
    """Write a table of a kind in `SCHEMAS`; the same rows give the same bytes.

    Raises:
        ValueError: the frame does not fit the schema.
    """
    schema = SCHEMAS[kind]
    missing = [name for name in schema.names if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: cannot write a {kind} table without {', '.join(missing)}")
    # not by Table.from_pandas: its metadata holds pandas' version, and a newer one would change every hash
    table = pa.Table.from_arrays([_column(frame[field.name], field, path) for field in schema], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def _column(values: pd.Series, field: pa.Field, path: Path) -> pa.Array:
    try:
        column = pa.array(values, field.type, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: column {field.name!r} does not fit {field.type} ({_line(error)})") from None
    _check_nulls(column, field, path)
    return column


def _check_nulls(column: pa.Array | pa.ChunkedArray, field: pa.Field, path: Path) -> None:
    if column.null_count and field.name not in _NULLABLE:
        raise ValueError(f"{path}: column {field.name!r} has {column.null_count} empty values")


def _same_kind(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Texts are texts and numbers of one kind are numbers, however wide; a column of nulls is anything."""
    kinds = (_is_text, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_list)
    return pa.types.is_null(found) or any(kind(found) and kind(wanted) for kind in kinds)


def _is_text(found: pa.DataType) -> bool:
    return pa.types.is_string(found) or pa.types.is_large_string(found)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def read(kind: str, path: Path) -> pd.DataFrame:
    """Read a table and check it against its schema.

    Raises:
        ValueError: the file is missing or no Parquet file, a column is missing or of another type,
            or a value is missing where one is needed.
    """
    schema = SCHEMAS[kind]
    try:
        table = pq.read_table(path)
        names = table.column_names
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such table. Run `dvc repro` (or `dvc pull`) first") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not a readable Parquet file ({_line(error)}). Delete it and run `dvc repro`"
        ) from None
    for field in schema:
        if field.name not in names:
            found = ", ".join(names)
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
        return table.select(schema.names).cast(schema).to_pandas()
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: a column has the wrong type ({_line(error)})") from None


def texts(path: Path) -> dict[str, str]:
    """prompt_id -> text of a prompt table, in its order."""
    frame = read("prompts", path)
    return dict(zip(frame["prompt_id"], frame["text"], strict=True))
