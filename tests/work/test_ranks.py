"""Ranks do one piece of work together; the first says what came of it, and none outlives a failure."""

import os
import time
from functools import partial

import psutil
import pytest
import ranked

from versat2i.work import ranks


def test_the_first_rank_says_what_came_of_it_and_each_sees_its_gpu():
    device, process = ranks.run(ranked.told, 2, ["5", "3"])
    assert device == "5" and process != os.getpid()
    assert ranks.run(ranked.leaves, 2) == "done"


def test_a_rank_that_is_killed_is_one_line_and_takes_the_others_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "GRACE", 0.2)
    start = time.monotonic()
    with pytest.raises(ValueError) as error:
        ranks.run(partial(ranked.dies, log=tmp_path), 3)
    assert str(error.value) == (
        "process 2 of 3 was killed by signal 9, perhaps by lack of memory. Run again to go on from the last "
        "checkpoint; a smaller micro_batch in compute.yaml needs less"
    )
    assert time.monotonic() - start < 300  # of 600 that the others would sleep
    assert not any(psutil.pid_exists(int(path.name)) for path in tmp_path.iterdir())


def test_of_several_failures_the_cause_is_told():
    with pytest.raises(MemoryError) as error:  # of its own class, for which there is advice
        ranks.run(ranked.fails, 2)
    assert str(error.value) == "rank 1 says why"
    assert "ranked.py" in "".join(error.value.__notes__)  # where it happened, for the file of errors
