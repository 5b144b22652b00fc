"""Detect and read the format of prompt files by content: txt, csv, tsv, json, jsonl or parquet."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from versat2i.formats import tables
from versat2i.prompts.rows import COLUMNS, Row, text_column

Place = tuple[str, dict[str, Any]]  # where in the file, e.g. "line 3", and what stands there


def _lines(text: str) -> Iterator[Place]:
    # not splitlines: it also splits at a line separator within a prompt
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            yield f"line {number}", {"text": line}


def _cells(text: str, delimiter: str, quoting: Literal[0, 3]) -> Iterator[Place]:
    # blanks after a delimiter go with those of the header: else a quoted text after one would be no quoted text
    blanks = quoting == csv.QUOTE_MINIMAL and f"{delimiter} " in _first_line(text)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=blanks
    )
    header = [name.strip() for name in next((cells for cells in reader if cells), [])]
    _expect_distinct(header)
    named = max((place for place, name in enumerate(header) if name), default=-1) + 1
    line = reader.line_num + 1
    for cells in reader:
        if any(cell.strip() for cell in cells) or len(cells) == 1:
            yield f"line {line}", _row(cells, header[:named], f"line {line}")
        line = reader.line_num + 1


def _row(cells: list[str], header: list[str], where: str) -> dict[str, str]:
    """Cells by the header's names; a spreadsheet writes empty ones after the last name, which are left out."""
    filled = max((place for place, cell in enumerate(cells) if cell.strip()), default=-1) + 1
    if filled > len(header):
        raise ValueError(
            f"{where} has {filled} cells, the header has {len(header)}; the last one is {cells[filled - 1]!r}. "
            "Put a text that has the delimiter in it into quotation marks"
        )
    if len(cells) < len(header):
        raise ValueError(f"{where} has {len(cells)} cells, the header has {len(header)}")
    return dict(zip(header, cells, strict=False))


def _csv(text: str) -> Iterator[Place]:
    sign = _SEPARATOR.match(text)  # a first line in which Excel names the delimiter
    delimiter = sign[1] if sign else _delimiter(_first_line(text))
    yield from _cells(text[sign.end() :] if sign else text, delimiter, csv.QUOTE_MINIMAL)


def _delimiter(header: str) -> str:
    """A comma, or a semicolon where only that gives a header a column of prompts."""
    comma, semicolon = (text_column(set(_names(header, delimiter))) for delimiter in ",;")
    return ";" if semicolon and not comma else ","


def _names(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in header.split(delimiter)]


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text.lstrip("\r\n "), maxsplit=1)[0]


_SEPARATOR = re.compile(r"\s*sep=([,;|\t])\r?\n")


def _tsv(text: str) -> Iterator[Place]:
    # PartiPrompts has quotation marks that belong to the prompt, even at its start
    return _cells(text, "\t", csv.QUOTE_NONE)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        expected = 'expected an object such as {"text": ...}, or texts throughout'
        raise ValueError(f"{where} is {type(value).__name__}, {expected}")
    _expect_distinct(list(value))
    return value


def _entries(entries: Iterator[tuple[str, object]]) -> Iterator[Place]:
    """Objects as they are, texts each as the text of one; the first says which of the two all are."""
    texts = None
    for where, entry in entries:
        texts = isinstance(entry, str) if texts is None else texts
        yield where, {"text": entry} if texts and isinstance(entry, str) else _object(entry, where)


def _json(text: str) -> Iterator[Place]:
    entries = _listed(json.loads(text))
    if not isinstance(entries, list):
        raise ValueError(f"it holds one {type(entries).__name__}, expected a list of objects or of texts")
    yield from _entries((f"entry {number}", entry) for number, entry in enumerate(entries, 1))


def _jsonl(text: str) -> Iterator[Place]:
    yield from _entries(_json_lines(text))


def _json_lines(text: str) -> Iterator[tuple[str, object]]:
    for where, line in _lines(text):
        try:
            yield where, json.loads(line["text"])
        except ValueError as error:
            raise ValueError(f"{where}: expected one JSON object a line: {error}") from None


def _parquet(data: bytes) -> Iterator[Place]:
    table = tables.unpacked(pa.BufferReader(data))
    _expect_distinct(table.column_names)
    for number, values in enumerate(table.to_pylist(), 1):
        yield f"row {number}", values


def _expect_distinct(names: list[str]) -> None:
    lower = [name.lower() for name in names]
    twice = next((name for name in lower if lower.count(name) > 1 and name in COLUMNS), None)
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


_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


def decoded(data: bytes) -> str:
    """A file's text: UTF-8, or what a mark at its start says (UTF-16 and UTF-32, as Windows writes them).

    Raises:
        ValueError: it is neither; the line is named, and what to do.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = data[error.start : error.start + 1]
        one = found.decode("cp1252", errors="ignore")
        guess = f" (in Windows-1252 it is {one!r})" if one.isprintable() and one else ""
        raise ValueError(
            f"line {line}: byte 0x{found.hex()} is no {encoding.upper()}{guess}. Save the file as UTF-8, e.g. by "
            "`iconv -f WINDOWS-1252 -t UTF-8`"
        ) from None


def _is_header(line: str, delimiter: str) -> bool:
    """Whether a line names several columns, one of them that of the prompts."""
    names = [name.strip('"').lower() for name in line.split(delimiter)]
    return len(names) > 1 and text_column(set(names)) is not None and all(name == name.strip() for name in names)


def _is_listing(text: str) -> bool:
    """Whether a text is one list of JSON, perhaps under a name."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(_listed(content), list)


def _listed(content: Any) -> Any:
    """A list that is the only entry of an object, as ``{"prompts": [...]}``; any other content as it is."""
    if isinstance(content, dict) and len(content) == 1:
        (content,) = content.values()
    return content


def recognise(data: bytes, path: Path) -> str:
    """Detect the format of a file: by its content where that is clear, else by its ending.

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
    try:
        text = decoded(data).lstrip("\r\n ")
    except ValueError:  # said once its kind is known
        text = data.decode("utf-8-sig", errors="replace").lstrip("\r\n ")
    ending = path.suffix.removeprefix(".").lower()
    first = _first_line(text)
    if re.match(r'\[\s*\{\s*"', text) or (re.match(r'\[\s*"', text) and _is_listing(text)):
        return "json"
    if re.match(r'\{\s*"', first):
        return "json" if _is_listing(text) else "jsonl"
    if _is_header(first, "\t"):
        return "tsv"
    if _is_header(first, ",") or _is_header(first, ";") or _SEPARATOR.match(text):
        return "csv"
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
        places = _parquet(data) if kind == "parquet" else _TEXTS[kind](decoded(data))
        rows = [
            Row(f"{path}: {where}", {name.strip().lower(): v for name, v in values.items()}, kind == "txt")
            for where, values in places
        ]
    except (ValueError, csv.Error, pa.ArrowException, OSError, RecursionError) as error:
        raise ValueError(f"{path}: not a readable {kind} file ({' '.join(str(error).split())})") from None
    if not rows:
        raise ValueError(f"{path}: has no prompt")
    return rows
