"""A file or a folder is whole or as it was before, and its hash sees names and bytes."""

import os
from pathlib import Path

import pytest
from folders import content

from versat2i.work import files as work_files


def test_a_replaced_folder_holds_only_what_is_new(tmp_path):
    folder = tmp_path / "deep" / "folder"
    for name in ("old.txt", "new.txt"):
        with work_files.replaced(folder) as out:
            (out / name).write_text(name)
    assert content(folder) == {"new.txt": b"new.txt"}
    assert folder.stat().st_mode & 0o777 == 0o755
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_folder_stays_when_the_block_fails(tmp_path, error):
    folder = tmp_path / "folder"
    with work_files.replaced(folder) as out:
        (out / "old.txt").write_text("old")
    with pytest.raises(error), work_files.replaced(folder) as out:
        (out / "new.txt").write_text("new")
        raise error
    assert content(folder) == {"old.txt": b"old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_the_old_folder_is_put_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    with work_files.replaced(folder) as out:
        (out / "old.txt").write_text("old")
    rename = Path.rename

    def refuses(self, target):
        if target == folder and ".old" not in self.name:
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(OSError, match="no"), work_files.replaced(folder) as out:
        (out / "new.txt").write_text("new")
    assert content(folder) == {"old.txt": b"old"} and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/etc"), lambda path: path.symlink_to("no")])
def test_what_is_no_folder_is_replaced_too(tmp_path, make):
    make(tmp_path / "folder")
    with work_files.replaced(tmp_path / "folder") as out:
        (out / "new.txt").write_text("new")
    assert not (tmp_path / "folder").is_symlink() and content(tmp_path / "folder") == {"new.txt": b"new"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_new_file_leaves_other_links_to_the_old_one_alone(tmp_path):
    """DVC's cache may share a file with the workspace."""
    (tmp_path / "cached").write_text("old")
    (tmp_path / "file.txt").hardlink_to(tmp_path / "cached")
    with work_files.new_file(tmp_path / "file.txt") as partial:
        partial.write_text("new")
        assert partial.suffix == ".txt" and (tmp_path / "file.txt").read_text() == "old"
    assert (tmp_path / "file.txt").read_text() == "new" and (tmp_path / "cached").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_stays_as_it_was_when_writing_the_new_one_fails(tmp_path, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(error), work_files.new_file(tmp_path / "file") as partial:
        partial.write_text("half")
        raise error
    assert content(tmp_path) == {"file": b"old"}


def test_the_hash_of_a_folder_sees_names_and_bytes_but_no_dates(tmp_path):
    def hashed(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
            os.utime(folder / name, (len(folder.name), 0))
        return work_files.folder_hash(folder)

    same = hashed(a="1", b="2")
    assert hashed(b="2", a="1") == same
    assert len({same, hashed(a="1", b="3"), hashed(a="1", c="2"), hashed(a="2", b="1"), hashed(a="1")}) == 5


def test_a_folder_that_is_missing_or_empty_has_no_hash(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="no such folder, or it is empty"):
            work_files.folder_hash(folder)
