"""How files are written: txt, csv, tsv, json, jsonl or parquet, told by their content."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from versat2i.formats import tables
from versat2i.prompts.rows import Row, text_column

Place = tuple[str, dict[str, Any]]  # where in the file, e.g. "line 3", and what stands there


def _lines(text: str) -> Iterator[Place]:
    # not splitlines: it also splits at a line separator within a prompt
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            yield f"line {number}", {"text": line}


def _cells(text: str, delimiter: str, quoting: Literal[0, 3]) -> Iterator[Place]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    header = next((cells for cells in reader if cells), [])
    _expect_distinct(header)
    line = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != len(header):
            raise ValueError(f"line {line} has {len(cells)} cells, the header has {len(header)}")
        if cells:
            yield f"line {line}", dict(zip(header, cells, strict=True))
        line = reader.line_num + 1


def _csv(text: str) -> Iterator[Place]:
    return _cells(text, ",", csv.QUOTE_MINIMAL)


def _tsv(text: str) -> Iterator[Place]:
    # PartiPrompts has quotation marks that belong to the prompt, even at its start
    return _cells(text, "\t", csv.QUOTE_NONE)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f'{where} is {type(value).__name__}, expected an object such as {{"text": ...}}')
    _expect_distinct(list(value))
    return value


def _json(text: str) -> Iterator[Place]:
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError(f"it holds one {type(entries).__name__}, expected a list of objects")
    for number, entry in enumerate(entries, 1):
        yield f"entry {number}", _object(entry, f"entry {number}")


def _jsonl(text: str) -> Iterator[Place]:
    for where, line in _lines(text):
        try:
            entry = json.loads(line["text"])
        except ValueError as error:
            raise ValueError(f"{where}: expected one JSON object a line: {error}") from None
        yield where, _object(entry, where)


def _parquet(data: bytes) -> Iterator[Place]:
    table = tables.unpacked(pa.BufferReader(data))
    _expect_distinct(table.column_names)
    for number, values in enumerate(table.to_pylist(), 1):
        yield f"row {number}", values


def _expect_distinct(names: list[str]) -> None:
    lower = [name.lower() for name in names]
    twice = next((name for name in lower if lower.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the column {twice!r} is there twice")


_TEXTS: dict[str, Callable[[str], Iterator[Place]]] = {
    "txt": _lines,
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "jsonl": _jsonl,
}
KINDS = (*_TEXTS, "parquet")


def _is_header(line: str, delimiter: str) -> bool:
    """Whether a line names several columns, one of them that of the prompts."""
    names = [name.strip('"').lower() for name in line.split(delimiter)]
    return len(names) > 1 and text_column(set(names)) is not None and all(name == name.strip() for name in names)


def recognise(data: bytes, path: Path) -> str:
    """How a file is written: as its content says where that is clear, else as its ending does.

    Args:
        data: the content.
        path: its ending counts where the content may be several things.

    Returns:
        One of `KINDS`.

    Raises:
        ValueError: neither says it.
    """
    if data.startswith(b"PAR1"):
        return "parquet"
    text = data.decode("utf-8-sig", errors="replace").lstrip("\r\n ")
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if re.match(r'\[\s*\{\s*"', text):
        return "json"
    if re.match(r'\{\s*"', first):
        return "jsonl"
    if _is_header(first, "\t"):
        return "tsv"
    if _is_header(first, ","):
        return "csv"
    ending = path.suffix.removeprefix(".").lower()
    if ending not in KINDS:
        raise ValueError(
            f"{path}: neither its content nor its ending says how it is written; "
            f"name the format: one of {', '.join(KINDS)}"
        )
    return ending


def read(path: Path, kind: str = "auto") -> list[Row]:
    """The rows of a file, in order.

    Args:
        path: the file.
        kind: one of `KINDS`; `auto` goes by what `recognise` finds.

    Raises:
        ValueError: the file is missing, damaged, not of that kind, or has no rows.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"{path}: the format {kind!r} is none of auto, {', '.join(KINDS)}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such prompt file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if kind == "auto":
        kind = recognise(data, path)
    try:
        places = _parquet(data) if kind == "parquet" else _TEXTS[kind](data.decode("utf-8-sig"))
        rows = [Row(f"{path}: {where}", {name.lower(): v for name, v in values.items()}) for where, values in places]
    except (ValueError, csv.Error, pa.ArrowException, OSError, RecursionError) as error:
        raise ValueError(f"{path}: not a readable {kind} file ({' '.join(str(error).split())})") from None
    if not rows:
        raise ValueError(f"{path}: has no prompt")
    return rows
