"""`versat2i costs` shows the last times."""

from commands import run


def test_costs_are_the_last_times(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    assert run("costs").output == "no stage has run here yet\n"
    (tmp_path / "timings.jsonl").write_text('{"stage": "generate", "seconds": 2.0}\n')
    assert run("costs").output.split()[:3] == ["generate", "2.0", "s"]
