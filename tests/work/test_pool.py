"""Work gives the same results in order, in one process or several, and ends with whoever gave it out."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from versat2i.work import pool

ROOT = Path(__file__).parents[2]

factorial = partial(partial, math.factorial)  # makes a worker; of the library, so that processes can import it


class Maker:
    """Counts how many workers it made."""

    made = 0

    def __call__(self):
        self.made += 1
        return lambda task: task + 1


def test_results_are_in_the_order_of_the_tasks_in_one_process_or_several():
    tasks = [20, 3, 0, 7, 1]
    expected = [math.factorial(task) for task in tasks]
    assert list(pool.run(factorial, tasks, 1)) == expected
    assert list(pool.run(factorial, tasks, 2)) == expected


def test_an_error_in_a_process_reaches_the_caller_as_it_is():
    with pytest.raises(ValueError, match="factorial"):
        list(pool.run(factorial, [3, -1], 2))


def test_an_error_while_a_worker_is_made_reaches_the_caller_as_it_is():
    with pytest.raises(ValueError, match="'no number'"):
        list(pool.run(partial(int, "no number"), [1, 2], 2))


def test_one_worker_does_all_tasks_of_a_process():
    maker = Maker()
    assert list(pool.run(maker, [1, 2, 3], 1)) == [2, 3, 4]
    assert maker.made == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_without_tasks_no_worker_is_made(processes):
    maker = Maker()
    assert list(pool.run(maker, [], processes)) == []
    assert maker.made == 0


def test_a_single_task_is_done_without_processes():
    assert list(pool.run(Maker(), [1], 2)) == [2]  # whose worker could not be sent to one


def test_each_process_sees_one_gpu_in_turn():
    seen = pool.run(partial(partial, os.getenv), ["CUDA_VISIBLE_DEVICES"] * 8, 2, ["5", "GPU-7"])
    assert set(seen) <= {"5", "GPU-7"} and "CUDA_VISIBLE_DEVICES" not in os.environ


def test_results_come_one_at_a_time():
    started = []
    results = pool.run(lambda: started.append, [1, 2, 3], 1)
    next(results)
    assert started == [1]


class Written:
    """A pending result, as of a worker whose threads still write; notes what happens to it."""

    def __init__(self, task, log):
        self.task, self.log = task, log

    def result(self):
        self.log.append(f"result {self.task}")
        if self.task == "full":
            raise OSError("disk full")
        return self.task

    def wait(self):
        self.log.append(f"wait {self.task}")


def pending(log, *found):
    """Makes a worker whose results are pending, but for those that were found."""

    def worker(task):
        log.append(f"begin {task}")
        return task if task in found else Written(task, log)

    return lambda: worker


def test_a_task_is_begun_before_the_pending_result_of_the_one_before_is_waited_for():
    log = []
    assert list(pool.run(pending(log, 2), [0, 1, 2, 3], 1)) == [0, 1, 2, 3]
    assert log == ["begin 0", "begin 1", "result 0", "begin 2", "result 1", "begin 3", "result 3"]


def test_after_an_error_nothing_is_still_being_written():
    log = []
    with pytest.raises(OSError, match="disk full"):
        list(pool.run(pending(log), ["full", 1, 2], 1))
    assert log == ["begin full", "begin 1", "result full", "wait 1"]


def test_results_that_nobody_waits_for_any_more_are_still_written_to_their_end():
    log = []
    results = pool.run(pending(log), [0, 1, 2], 1)
    next(results)
    results.close()
    assert log == ["begin 0", "begin 1", "result 0", "wait 1"]


RUN = """
import sys, time
from functools import partial
from versat2i.work import failures, pool
with failures.terminable():
    try:
        for result in pool.run(partial(partial, time.sleep), [0.0, 0.0, *[float(sys.argv[1])] * 8], 2):
            print("one", flush=True)
    except (ValueError, KeyboardInterrupt) as error:
        sys.exit(failures.line(error, "test"))
"""


@pytest.fixture
def at_work():
    """``at_work(seconds)`` starts two workers on such tasks, after two quick ones: the process, its workers."""
    started = []

    def start(seconds, quick=2):
        command = [sys.executable, "-c", RUN, str(seconds)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        started.append(process)
        assert [process.stdout.readline() for _ in range(quick)] == ["one\n"] * quick
        return process, children(process.pid)

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def children(pid):
    """The workers among a process's children; the other is Python's own tracker of resources."""
    found = (int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in found if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def is_alive(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_end_with_a_parent_that_is_killed(at_work):
    process, workers = at_work(60)
    assert len(workers) == 2
    process.kill()
    end = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def test_a_worker_that_is_killed_is_one_line(at_work):
    process, workers = at_work(60)
    os.kill(workers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and len(said.splitlines()) == 1
    assert "one of 2 worker processes was killed" in said and "fewer `workers`" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_the_running_tasks_are_ended_and_no_more_begun(at_work, number):
    process, _ = at_work(0.5)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 1 and said.splitlines() == [
        "test: stopped; what is finished is kept, run again to go on from there"
    ]
    assert out.count("one") < 8


def test_asked_to_stop_while_workers_are_starting_none_is_ended_by_it(at_work):
    process, workers = at_work(0.5, quick=0)
    while len(workers) < 2:
        workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said.splitlines() == ["test: stopped; what is finished is kept, run again to go on from there"]
