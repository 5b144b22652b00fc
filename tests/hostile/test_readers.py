"""What reads a file, on every way to spoil it: one line that names the file and says what is wrong."""

import damage
import drawn
import pandas as pd
import pytest
import tiny

from versat2i.adapters import lora
from versat2i.formats import shards, tables

ROWS = {
    "prompt_id": ["p0", "p1"],
    "text": ["a red circle", "a blue star"],
    "k": [0, 1],
    "rank": [1, 2],
    "step": [1, 2],
    "score": [0.5, 0.25],
    "merit": [0.5, 0.25],
    "loss": [0.5, 0.25],
    "gap": [0.5, 0.0],
    "abstained": [None, None],
    "choices": [["yes", "no"]] * 2,
    "parent_ids": [[], ["1"]],
    "flagged": [False, True],
}
"""Values of two rows that fit each kind of table; a column that is not named has numbers or texts."""


def two_rows(kind):
    other = {"string": ["x", "y"], "int64": [1, 2]}
    return pd.DataFrame(
        {field.name: ROWS.get(field.name, other.get(str(field.type))) for field in tables.SCHEMAS[kind]}
    )


def complaint(path, read, spoilt):
    """What is wrong with how a spoilt file is taken; None: nothing."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if spoilt is damage.FOLDER:
        path.mkdir()
    elif spoilt is not None:
        path.write_bytes(spoilt)
    try:
        read()
    except ValueError as error:
        line = str(error)
        return None if path.stem in line and "\n" not in line and len(line) < 2000 else f"says {line[:300]}"
    return "was taken as sound"


def refused(path, read, ways, counts):
    sound = path.read_bytes()
    read()
    found = {title: complaint(path, read, change(sound)) for title, change in ways}
    kind = damage.KINDS[path.suffix]
    counts[f"bad inputs to readers, {kind}: tried"] += len(found)
    counts[f"bad inputs to readers, {kind}: refused in one line"] += list(found.values()).count(None)
    assert {title: said for title, said in found.items() if said is not None} == {}


@pytest.mark.parametrize("kind", tables.SCHEMAS)
def test_a_table(tmp_path, counts, kind):
    path = tmp_path / f"{kind}.parquet"
    tables.write(kind, two_rows(kind), path)
    ways = [*damage.of_any_file(), *damage.of_a_table(tables.SCHEMAS[kind], tables.NULLABLE)]
    refused(path, lambda: tables.read(kind, path), ways, counts)


def test_a_shard(tmp_path, counts):
    (path,) = shards.paths(drawn.pool(tmp_path))
    refused(path, lambda: list(shards.read(path)), [*damage.of_any_file(), *damage.of_a_shard()], counts)


def test_an_index_of_a_shard(tmp_path, counts):
    (path,) = shards.paths(drawn.pool(tmp_path))
    index = path.with_suffix(".parquet")
    refused(index, lambda: list(shards.read(path)), damage.of_an_index(), counts)


def test_an_adapter(tmp_path, counts):
    lora.write(tiny.adapter(tiny.unet(), "colour"), tmp_path)
    ways = [*damage.of_any_file(), *damage.of_tensors(), *damage.of_an_adapter()]
    alone = [way for way in ways if way[0] != "of another base model"]  # of which only the model can tell
    refused(tmp_path / lora.FILE, lambda: lora.read(tmp_path, "colour"), alone, counts)
