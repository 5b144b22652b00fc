"""Files and results arrive on another machine as they were sent, paths in the store at its own store."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from versat2i.work import parcels, store


@dataclass(frozen=True)
class Made:
    """A result as stages have them: a path within a record."""

    adapter: Path
    losses: list[float]


@pytest.fixture
def at(tmp_path, monkeypatch):
    """``at(machine)`` goes to a machine: a folder with a store of its own."""

    def go(name):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / name / "kept"))
        return tmp_path / name

    return go


def test_a_folder_and_a_file_arrive_as_they_were_and_take_the_place_of_what_was_there(at):
    here = at("here")
    (here / "in/sub").mkdir(parents=True)
    (here / "in/sub/a").write_bytes(b"\0a")
    (here / "in/b").write_bytes(b"b")
    whole, single = parcels.pack(Path("in")), parcels.pack(Path("in/b"))
    there = at("there")
    (there / "in").mkdir()
    (there / "in/old").write_text("from before")
    parcels.unpack(whole, Path("in"))
    parcels.unpack(single, Path("c"))
    found = {str(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert found == {"in/sub/a": b"\0a", "in/b": b"b", "c": b"b"}


def test_a_piece_that_was_made_there_is_found_here(at):
    at("there")
    with store.noting() as noted:
        store.Store("generate").make("key", lambda out: (out / "x").write_text("drawn"))
        store.Store("generate").find("key")
    sent = parcels.pieces(noted)
    here = at("here")
    assert [(stage, key) for stage, key, _ in sent] == [("generate", "key")]
    parcels.receive(sent)
    assert (store.Store("generate").find("key") / "x").read_text() == "drawn"
    assert (here / "kept/generate/key").is_dir()


def test_a_piece_that_changed_on_its_way_is_refused(at):
    at("there")
    store.Store("generate").make("key", lambda out: (out / "x").write_text("drawn"))
    ((stage, key, content),) = parcels.pieces([("generate", "key")])
    at("here")
    with pytest.raises(ValueError, match="generate/key: its bytes changed on the way"):
        parcels.receive([(stage, key, content | {"x": b"drawm"})])
    assert store.Store("generate").find("key") is None


def test_a_path_in_the_store_is_one_in_the_readers_store_and_no_other_path_changes(at):
    there = at("there")
    data = parcels.dumps(("unit", Made(there / "kept/mix/key/adapter", [1.0]), Path("data/images")))
    here = at("here")
    assert pickle.loads(data) == ("unit", Made(here / "kept/mix/key/adapter", [1.0]), Path("data/images"))


def test_a_shard_is_two_files():
    assert parcels.shards([Path("a/0.tar"), Path("a/1.tar")]) == [
        Path("a/0.tar"),
        Path("a/0.parquet"),
        Path("a/1.tar"),
        Path("a/1.parquet"),
    ]
