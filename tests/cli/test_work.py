"""`versat2i work` shows the store and prunes it."""

from commands import run


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
