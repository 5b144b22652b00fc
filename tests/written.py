"""Files of prompts in every format, and what is read from them."""

import io
import json

import pandas as pd
import pytest

from versat2i.prompts import files

FORMATS = ("txt", "csv", "tsv", "json", "jsonl", "parquet")


def encoded(kind, texts, column="text", **columns):
    """A file's bytes in a format."""
    frame = pd.DataFrame({column: texts} | columns)
    rows = frame.to_dict("records")
    if kind == "txt":
        return "".join(f"{text}\n" for text in texts).encode()
    if kind == "tsv":
        return "".join("\t".join(cells) + "\n" for cells in [frame.columns, *frame.to_numpy()]).encode()
    if kind == "json":
        return json.dumps(rows).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    buffer = io.BytesIO()
    getattr(frame, f"to_{kind}")(buffer, index=False)
    return buffer.getvalue()


def refused(path, **options):
    """The one line that refuses the file."""
    with pytest.raises(ValueError) as error:
        files.read(path, **options)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


def texts(path, **options):
    return [prompt.text for prompt in files.read(path, **options)]
