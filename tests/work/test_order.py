"""Stages run side by side, each after all that it needs."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.work import order

PIPELINE = {
    "draw": set(),
    "base": set(),
    "train": {"draw"},
    "mix": {"train"},
    "mixture": {"mix"},
    "compare": {"mixture", "base"},
}


@st.composite
def graphs(draw):
    """Stages that need some of those before them."""
    names = [f"s{n}" for n in range(draw(st.integers(1, 8)))]
    return {name: draw(st.sets(st.sampled_from(names[:n]))) if n else set() for n, name in enumerate(names)}


class Worker:
    """Notes which stages ended before each began, and how many ran at a time."""

    def __init__(self, failing=(), seconds=0.0):
        self.failing, self.seconds, self.lock = set(failing), seconds, threading.Lock()
        self.done, self.before, self.running, self.most = [], {}, 0, 0

    def __call__(self, stage):
        with self.lock:
            self.before[stage] = set(self.done)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
            self.done.append(stage)
        return stage not in self.failing


@settings(derandomize=True, max_examples=50, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_every_stage_runs_once_and_after_all_that_it_needs(needs, jobs):
    worker = Worker()
    assert order.run(needs, worker, jobs) == []
    assert sorted(worker.done) == sorted(needs)
    assert all(needs[stage] <= before for stage, before in worker.before.items())
    assert worker.most <= jobs


def test_stages_that_need_nothing_of_each_other_run_at_a_time():
    both = threading.Barrier(2, timeout=10)
    assert order.run({"a": set(), "b": set()}, lambda _: both.wait() >= 0, 2) == []


def test_what_has_most_to_come_after_it_begins_first():
    worker = Worker()
    order.run(PIPELINE, worker, 1)
    assert worker.done == ["draw", "train", "mix", "mixture", "base", "compare"]


def test_after_a_failure_nothing_begins_and_what_runs_ends():
    failed = threading.Event()

    def work(stage):
        if stage == "draw":
            failed.set()
            return False
        failed.wait(10)
        worker(stage)
        return True

    worker = Worker()
    assert order.run(PIPELINE, work, 2) == ["draw"]
    assert worker.done == ["base"]


def test_an_error_of_the_work_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        order.run({"a": set()}, lambda _: 1 // 0, 2)


def test_what_a_change_affects_is_all_that_comes_after_it():
    assert order.affected(PIPELINE, {"train"}) == {"train", "mix", "mixture", "compare"}
    assert order.affected(PIPELINE, {"base"}) == {"base", "compare"}
    assert order.affected(PIPELINE, set()) == set()


def test_the_height_of_a_stage_is_the_longest_way_to_the_end():
    assert order.heights(PIPELINE) == {
        "draw": 5,
        "base": 2,
        "train": 4,
        "mix": 3,
        "mixture": 2,
        "compare": 1,
    }
