"""A piece of work is whole or not there, and found again only for what it was made from."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from folders import content

from versat2i.work import store as work_store

FILES = {"a.bin": b"first", "b.bin": b"\0" * 5000, "sub/c.bin": b"last"}


def write(folder):
    for name, data in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def store(tmp_path):
    return work_store.Store("stage", tmp_path)


def test_a_piece_is_found_as_it_was_made(store):
    assert store.find("key") is None
    assert content(store.make("key", write)) == FILES
    assert content(store.find("key")) == FILES


def test_a_piece_without_files_is_a_piece(store):
    store.make("key", lambda folder: None)
    assert content(store.find("key")) == {}


def test_others_may_read_a_piece(store):
    assert store.make("key", write).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("files", range(len(FILES) + 1))
def test_a_piece_is_absent_when_writing_stops_after_any_file(store, files, error):
    def stop(folder):
        for name in list(FILES)[:files]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(FILES[name])
        raise error("stopped")

    with pytest.raises(error):
        store.make("key", stop)
    assert store.find("key") is None
    assert list(store.folder.iterdir()) == []
    assert content(store.make("key", write)) == FILES


def test_a_killed_process_leaves_no_piece_and_is_no_hindrance(store, tmp_path):
    code = """
import os, sys
from pathlib import Path
from versat2i.work.store import Store
def write(folder):
    (folder / "a.bin").write_bytes(b"first")
    os._exit(9)
Store("stage", Path(sys.argv[1])).make("key", write)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code, tmp_path], env=environment).returncode == 9
    assert len(list(store.folder.iterdir())) == 1
    assert store.find("key") is None
    assert content(store.make("key", write)) == FILES


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink, make_folder, lengthen])
@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
def test_a_damaged_piece_is_not_found_and_made_again(store, name, damage):
    damage(store.make("key", write) / name)
    assert store.find("key") is None
    assert not (store.folder / "key").exists()
    assert content(store.make("key", write)) == FILES


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{}",
        b'{"key": "key", "files": {}}',
        b'{"key": "key"}',
        b'{"files": {}}',
        b"null",
        b"3",
        b"[]",
        b'["a.bin"]',
        b"[[1]]",
        b'{"a.bin": 1}',
        b"\xff\xfe",
        b'{"\\u0000": "x"}',
        b"{",
    ],
)
def test_garbage_for_checksums_is_damage(store, garbage):
    (store.make("key", write) / "checksums.json").write_bytes(garbage)
    assert store.find("key") is None
    assert content(store.make("key", write)) == FILES


def test_a_piece_under_another_key_is_damage(store):
    """Its files are what its checksums say, but they are not what is looked for."""
    store.make("key", write).rename(store.folder / "other")
    assert store.find("other") is None and not (store.folder / "other").exists()


def test_two_pieces_that_changed_places_are_damage(store):
    one, other = (store.make(key, lambda folder, key=key: (folder / key).write_text(key)) for key in ("one", "other"))
    one.rename(store.folder / "third")
    other.rename(one)
    (store.folder / "third").rename(other)
    assert store.find("one") is None and store.find("other") is None


def test_files_that_changed_their_names_are_damage(store):
    piece = store.make("key", write)
    (piece / "a.bin").rename(piece / "third")
    (piece / "b.bin").rename(piece / "a.bin")
    (piece / "third").rename(piece / "b.bin")
    assert store.find("key") is None


def test_a_file_that_does_not_belong_is_damage(store):
    (store.make("key", write) / "more.bin").write_bytes(b"")
    assert store.find("key") is None


def test_a_link_in_a_piece_is_damage_wherever_it_leads(store, tmp_path):
    for target in ("/etc/passwd", "/dev/zero", "b.bin"):
        piece = store.make("key", write)
        (piece / "a.bin").unlink()
        (piece / "a.bin").symlink_to(target)
        assert store.find("key") is None
    piece = store.make("key", write)
    piece.rename(tmp_path / "elsewhere")
    piece.symlink_to(tmp_path / "elsewhere")
    assert store.find("key") is None and content(tmp_path / "elsewhere") == FILES
    (store.make("key", write) / "checksums.json").unlink()
    (piece / "checksums.json").symlink_to("/dev/zero")
    assert store.find("key") is None


def test_what_a_killed_process_left_is_deleted_once_it_is_old(store):
    left = [store.folder / name for name in (".key.old", ".key.young", ".other.old")]
    for folder in left:
        write_into = folder / "sub"
        write_into.mkdir(parents=True)
    for folder in (left[0], left[2]):
        os.utime(folder, (0, 0))
    store.make("key", write)
    assert [folder.exists() for folder in left] == [False, True, True]


def test_the_first_of_two_makers_is_kept(store):
    def interrupted(folder):
        store.make("key", write)
        (folder / "late.bin").write_bytes(b"late")

    assert content(store.make("key", interrupted)) == FILES
    assert [path.name for path in store.folder.iterdir()] == ["key"]


def test_a_damaged_piece_of_another_maker_is_replaced(store):
    def interrupted(folder):
        flip(store.make("key", write) / "a.bin")
        write(folder)

    assert content(store.make("key", interrupted)) == FILES
    assert content(store.find("key")) == FILES


def test_many_makers_at_once_leave_one_whole_piece(store):
    barrier = Barrier(4)

    def wait(folder):
        write(folder)
        barrier.wait(timeout=30)

    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(store.make, "key", wait) for _ in range(4)]
        assert all(content(piece.result()) == FILES for piece in made)
    assert [path.name for path in store.folder.iterdir()] == ["key"]


def test_what_another_finishes_while_it_is_looked_for_stays(store, monkeypatch):
    look, is_whole = os.path.lexists, work_store._is_whole

    def then_made(first_look):
        def looked(path):
            seen = first_look(path)
            monkeypatch.undo()
            store.make("key", write)
            return seen

        return looked

    monkeypatch.setattr(work_store.os.path, "lexists", then_made(look))
    monkeypatch.setattr(work_store, "_is_whole", then_made(is_whole))
    assert store.find("key") is None
    assert content(store.folder / "key") == FILES


def test_keys_and_stages_share_nothing(store, tmp_path):
    store.make("key", write)
    assert store.find("other") is None
    assert work_store.Store("another", tmp_path).find("key") is None


def test_a_dropped_piece_is_forgotten(store):
    store.make("key", write)
    store.drop("key")
    store.drop("never there")
    assert store.find("key") is None


def test_the_store_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "elsewhere"))
    assert work_store.Store("stage").folder == tmp_path / "elsewhere" / "stage"
    monkeypatch.delenv("VERSAT2I_WORK")
    assert work_store.Store("stage").folder == Path(".work/stage")


def test_pieces_are_assembled_into_one_folder_without_their_checksums(store, tmp_path):
    for name in ("one", "two"):
        piece = store.make(name, lambda folder, name=name: (folder / f"{name}.bin").write_bytes(name.encode()))
        work_store.assemble(piece, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "one.bin": b"one",
        "two.bin": b"two",
    }


def test_deleting_what_was_assembled_leaves_the_piece(store, tmp_path):
    piece = store.make("key", lambda folder: (folder / "a.bin").write_bytes(b"a"))
    work_store.assemble(piece, tmp_path / "out")
    (tmp_path / "out" / "a.bin").unlink()
    assert content(store.find("key")) == {"a.bin": b"a"}


def test_a_worker_that_only_looks_finds_what_is_there_and_begins_nothing(store):
    store.make("key", write)
    with work_store.finding():
        assert content(store.find("key")) == FILES
        with pytest.raises(work_store.NotMade, match="another: is not made yet"):
            store.find("another")
    assert store.find("another") is None


def test_pieces_are_noted_within_the_block_alone(store):
    store.make("before", write)
    with work_store.noting() as noted:
        store.make("key", write)
        store.find("before")
        store.find("absent")
    store.make("after", write)
    assert noted == [("stage", "key"), ("stage", "before")]
