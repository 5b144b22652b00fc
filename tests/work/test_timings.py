"""The time of each stage is kept, the last one counts."""

import pytest

from versat2i.work import timings


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))


def test_the_last_time_of_a_stage_counts_and_the_total_is_their_sum():
    assert timings.last() == {} and timings.table() == []
    for stage, seconds in [("generate", 9.0), ("mix@mixture", 2.25), ("generate", 3.5)]:
        timings.note(stage, seconds)
    assert timings.last() == {"generate": 3.5, "mix@mixture": 2.2}
    assert [line.split() for line in timings.table()] == [
        ["generate", "3.5", "s"],
        ["mix@mixture", "2.2", "s"],
        ["total", "5.7", "s"],
    ]


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "x"}', '{"stage": "x", "seconds": "y"}'])
def test_a_damaged_file_is_named_and_safe_to_delete(content):
    timings.note("generate", 1.0)
    timings.path().write_text(content)
    with pytest.raises(ValueError, match=r"timings.jsonl: not a list of stages and seconds.*safe to delete"):
        timings.last()
