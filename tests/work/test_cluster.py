"""Units come back in order from a real cluster of two nodes, whatever of it is lost."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import clustered
import psutil
import pytest
from clustered import Counts, Roots, Squares, begun

from versat2i.settings import compute
from versat2i.work import cluster as clusters
from versat2i.work import node, places

pytestmark = pytest.mark.slow  # a node takes seconds to start, a worker too


@pytest.fixture(scope="module")
def two():
    with clustered.nodes(2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VERSAT2I_WORK", raising=False)


def squares(results):
    return [(number, (path / "square").read_text(), new) for number, path, new in results]


def of(numbers, new=True):
    return [(number, str(number**2), new) for number in numbers]


@pytest.mark.parametrize("shared", [False, True])
def test_results_come_in_order_and_lie_in_the_drivers_store(two, tmp_path, shared):
    machine, recipe = clustered.machine(two, shared_disk=shared), Squares(tmp_path / "log", seconds=0.2)
    assert squares(clusters.run(recipe, range(6), machine, "generate")) == of(range(6))
    assert len(list((tmp_path / ".work/generate").iterdir())) == 6
    pids = {pid for _, pid in begun(tmp_path / "log")}
    assert len(pids) <= 2 and os.getpid() not in pids  # one worker a node, made once
    assert list(Path(".work").glob(".node-*")) == []


def test_what_is_in_the_store_is_never_sent(two, tmp_path):
    machine, recipe = clustered.machine(two), Squares(tmp_path / "log")
    assert squares(clusters.run(recipe, [1, 2], machine, "generate")) == of([1, 2])
    assert squares(clusters.run(recipe, [2, 3, 1], machine, "generate")) == of([2], False) + of([3]) + of([1], False)
    assert sorted(number for number, _ in begun(tmp_path / "log")) == [1, 2, 3]


def test_an_error_of_a_worker_reaches_the_caller_as_it_is(two, tmp_path):
    with pytest.raises(ValueError, match=r"^-1 has no root$"):
        list(clusters.run(Squares(tmp_path / "log"), [2, -1, 3], clustered.machine(two), "generate"))


def test_inputs_are_sent_and_warnings_come_back(two, tmp_path, caplog):
    for number in (4, 9):
        Path(f"{number}.txt").write_text(str(number))
    caplog.set_level(logging.WARNING)
    tasks = [Path("4.txt"), Path("9.txt")]
    results = clusters.run(Roots(), tasks, clustered.machine(two), "score", lambda path: [path])
    assert list(results) == [2.0, 3.0]
    assert sorted(text for text in caplog.messages if "reads" in text) == ["reads 4.txt", "reads 9.txt"]


def test_a_unit_that_kills_its_worker_three_times_is_named_and_the_others_are_kept(two, tmp_path):
    recipe = Squares(tmp_path / "log", deadly=2)
    with pytest.raises(ValueError, match="generate: 2 killed its worker 3 times") as error:
        list(clusters.run(recipe, [1, 2, 3], clustered.machine(two), "generate"))
    assert "\n" not in str(error.value)
    assert [number for number, _ in begun(tmp_path / "log")].count(2) == 3


def test_a_worker_that_is_killed_is_replaced(two, tmp_path):
    results = clusters.run(Squares(tmp_path / "log", seconds=1), range(4), clustered.machine(two), "generate")
    first = next(results)
    os.kill(begun(tmp_path / "log")[-1][1], signal.SIGKILL)
    assert squares([first, *results]) == of(range(4))


def test_other_code_or_versions_on_a_node_are_one_line_and_no_work(two, tmp_path, monkeypatch):
    real = node.terms

    def other(module, folder=None, token=None):
        return node.Terms(module, "another digest", real(module).versions, folder, None, token)

    monkeypatch.setattr(node, "terms", other)
    with pytest.raises(ValueError, match=r"Install the same commit on every node$") as error:
        list(clusters.run(Squares(tmp_path / "log"), [1], clustered.machine(two), "generate"))
    assert "\n" not in str(error.value) and begun(tmp_path / "log") == []


def test_where_nothing_answers_is_told_in_one_line():
    machine = compute.Compute(device="cpu", engine="ray", ray=compute.Cluster(address="127.0.0.1:9"))
    with (
        pytest.raises(ValueError, match=r"ray\.address is 127\.0\.0\.1:9, but no Ray answers there"),
        clusters.connected(machine.ray),
    ):
        pass


def join(address):
    """One more node, as docs/cluster.md starts one."""
    size = ["--num-cpus=1", f"--object-store-memory={100 * 2**20}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", *size, "--block"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_node_that_is_lost_is_done_without_and_none_left_is_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 3.0)
    caplog.set_level(logging.WARNING)
    with clustered.nodes(2) as cluster:
        machine, recipe = clustered.machine(cluster), Squares(tmp_path / "log", seconds=1)
        results = clusters.run(recipe, range(8), machine, "generate")
        got = [next(results)]
        for lost in list(cluster.worker_nodes):  # both, by SIGKILL
            cluster.remove_node(lost, allow_graceful=False)

        def come_back():
            while not any("waits until the cluster has room" in text for text in caplog.messages):
                time.sleep(0.2)
            started.append(join(cluster.address))

        started: list[subprocess.Popen] = []
        helper = threading.Thread(target=come_back)
        helper.start()
        try:
            got += list(results)
        finally:
            helper.join()
            started[0].terminate()
            started[0].wait(60)
    assert squares(got) == of(range(8))
    assert any("was lost with its node" in text for text in caplog.messages)
    told = [text for text in caplog.messages if "waits until" in text]
    assert len(told) == 1 and "(1 CPU): none of its 1 nodes has so much" in told[0]


def test_a_training_goes_on_from_its_last_checkpoint_when_its_node_is_lost(tmp_path):
    recipe = Counts(tmp_path / "log", seconds=0.5)
    with clustered.nodes(2) as cluster:

        def lose():
            while not (tmp_path / ".work/mix/count.pt").exists():  # it has reached the driver
                time.sleep(0.1)
            at_work = psutil.Process(begun(tmp_path / "log")[-1][1]).parents()
            lost = next(n for n in cluster.worker_nodes if n.all_processes["raylet"][0].process.pid in pids(at_work))
            cluster.remove_node(lost, allow_graceful=False)

        helper = threading.Thread(target=lose)
        helper.start()
        assert list(clusters.run(recipe, [40], clustered.machine(cluster), "mix", recipe.reads)) == [40]
        helper.join()
    counts = begun(tmp_path / "log")
    first = counts[0][1]
    again = [count for count, pid in counts if pid != first]
    assert again[0] > 1 and again == list(range(again[0], 41))  # another worker, not from the start
    assert list((tmp_path / ".work/mix").glob("*.pt")) == []


def pids(processes):
    return {process.pid for process in processes}


DRIVER = """
import sys
from pathlib import Path
from clustered import Squares
from versat2i.settings import compute
from versat2i.work import cluster, failures
machine = compute.Compute(device="cpu", engine="ray", ray=compute.Cluster(address=sys.argv[1]))
try:
    with failures.terminable():
        recipe = Squares(Path("log").absolute(), float(sys.argv[2]))
        for number, *_ in cluster.run(recipe, range(8), machine, "generate"):
            print("one", flush=True)
except (ValueError, KeyboardInterrupt) as error:
    sys.exit(failures.line(error, "generate"))
"""


def driver(address, seconds):
    path = os.pathsep.join([str(clustered.ROOT), str(clustered.ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, address, str(seconds)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_frees_the_cluster(two, tmp_path, number):
    process = driver(two.address, 1)
    assert process.stdout.readline() == "one\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.splitlines() == ["generate: stopped; what is finished is kept, run again to go on from there"]
    done = squares(clusters.run(Squares(tmp_path / "log"), range(4), clustered.machine(two), "generate"))
    assert [row[:2] for row in done] == [row[:2] for row in of(range(4))]  # by the CPUs that were given back


def test_a_lost_head_is_one_line_and_a_rerun_does_only_what_was_in_flight(two, tmp_path):
    with clustered.nodes(1) as cluster:
        process = driver(cluster.address, 1)
        assert [process.stdout.readline() for _ in range(2)] == ["one\n"] * 2
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and said.splitlines()[-1].startswith("generate: the head of the Ray cluster at")
    kept = len(list(places.home().glob("generate/0*")))
    assert kept >= 2
    done = squares(clusters.run(Squares(tmp_path / "log"), range(8), clustered.machine(two), "generate"))
    assert [new for *_, new in done].count(False) == kept
