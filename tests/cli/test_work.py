"""`versat2i work` shows the store and prunes it."""

import re

from commands import run

from versat2i.work import fingerprint, store


def test_the_work_store_is_shown_and_pruned(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    (tmp_path / "generate" / "piece").mkdir(parents=True)
    (tmp_path / "generate" / "piece" / "file").write_bytes(b"x" * 2**20)
    assert run("work").output.splitlines() == [
        f"{'generate':<26}      1 pieces        1.0 MiB",
        f"total 1.0 MiB in {tmp_path}",
    ]
    assert "deleted 1.0 MiB" in run("work", "--prune").output
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_not_its_own_are_neither_shown_nor_deleted(tmp_path, monkeypatch):
    """VERSAT2I_WORK may name a disk on which other things lie."""
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    others = ("datasets", "generated", "my@score", ".git", "linked")
    for name in (*others[:-1], "score@geometry", "errors", "photos"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked").symlink_to("photos")
    (tmp_path / "mix").symlink_to("photos")
    (tmp_path / "generate").touch()
    shown = [line.split()[0] for line in run("work").output.splitlines()[:-1]]
    assert shown == ["errors", "score@geometry"]
    run("work", "--prune")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "photos", "mix", "generate"}


def test_every_store_that_a_stage_makes_is_known_by_name():
    made = set()
    for folder in ("versat2i", "stages"):
        for path in (fingerprint.ROOT / folder).rglob("*.py"):
            made |= set(re.findall(r"""(?:Store\(|kept\.make\()f?"(\w+)""", path.read_text()))
    assert {"score", "train_lora", "mix", "replies"} <= made <= set(store.KINDS)
