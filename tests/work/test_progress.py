"""Where there is no terminal, progress is a line every so many pieces, and one at the end."""

import sys

import pytest

from versat2i.work.progress import Progress, track


def lines(capsys):
    said = capsys.readouterr()
    assert said.out == ""  # results alone stand there
    return said.err.splitlines()


def test_every_so_many_pieces_there_is_a_line_and_one_at_the_end(capsys):
    progress = Progress("draw", 5, every=2)
    for _ in range(5):
        progress.update()
    progress.close()
    assert lines(capsys) == ["draw: 2/5", "draw: 4/5", "draw: 5/5"]


def test_what_was_done_before_is_counted_and_a_note_stands_behind(capsys):
    progress = Progress("train", 10, done=7, every=4)
    for step in (8, 9, 10):
        progress.update(f"loss {step / 10}")
    assert lines(capsys) == ["train: 8/10 loss 0.8", "train: 10/10 loss 1.0"]


def test_items_pass_through_and_each_is_counted_once_it_is_worked_on(capsys):
    seen = []
    for item in track(["a", "b"], "score"):
        seen.append((item, lines(capsys)))
    assert seen == [("a", []), ("b", ["score: 1/2"])] and lines(capsys) == ["score: 2/2"]


def test_the_total_of_items_that_have_no_length_may_be_told(capsys):
    assert list(track(iter("abc"), "score", total=3, every=3)) == ["a", "b", "c"]
    assert lines(capsys) == ["score: 3/3"]


def test_an_item_that_fails_is_not_counted(capsys):
    with pytest.raises(ZeroDivisionError):
        for item in track([1, 0], "divide"):
            1 // item
    assert lines(capsys) == ["divide: 1/2"]


def test_on_a_terminal_a_bar_stands_in_place_of_the_lines(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track([1, 2], "draw")) == [1, 2]
    said = capsys.readouterr().err
    assert "draw: 100%" in said and "2/2" in said and "draw: 1/2" not in said
