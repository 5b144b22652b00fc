"""Stages as processes of their own that are killed, stopped, short of disk, or two at a time."""

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import drawn
import pytest
import stage_forks
import yaml
from test_every_write import AT_ONCE, OUTS, remove, visible

from versat2i.work import fingerprint

KILLS = 2  # of each stage, outside of `make torture`
LONG = ("generate", "score aesthetic", "train_lora aesthetic", "mix mixture", "evaluate base")

LONGER = {
    "prompts": {"train": [{"grammar": 500, "held_out": 0.0, "seed": 0}]},
    "generate": {"per_prompt": 16, "steps": 4},
    "evaluate": {"per_prompt": 8, "steps": 4, "resamples": 20_000},
    "mix": {"steps": 12},
}


class Forks:
    """The process that is forked."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(fingerprint.ROOT), str(fingerprint.ROOT / "tests")])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, stage_forks.__file__]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        return self.process.stdout.readline().strip()

    def start(self, *jobs: dict) -> list[int]:
        self.process.stdin.write(json.dumps(jobs) + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def end(self) -> list[int]:
        return json.loads(self._line())


@pytest.fixture(scope="module")
def forks():
    server = Forks()
    yield server
    server.process.stdin.close()
    server.process.wait()


class Stage:
    """A stage in a folder in which it can run again and again."""

    def __init__(self, forks: Forks, root: Path, stage: str) -> None:
        self.forks, self.root, self.outs = forks, root, OUTS[stage]
        self.job = {"command": stage.split(), "folder": str(root), "output": str(root / "output.txt")}
        self.afresh()
        start = time.monotonic()
        assert self.run() == 0, self.said()
        self.seconds = time.monotonic() - start
        self.whole, self.once = visible(root, self.outs), self.computed()

    def afresh(self) -> None:
        """As if it had never run."""
        remove(self.root, ".work", stage_forks.DONE, *self.outs)

    def start(self, **more) -> int:
        (self.root / "output.txt").unlink(missing_ok=True)
        (process,) = self.forks.start(self.job | more)
        assert process > 1  # lest a signal goes to the whole group
        return process

    def run(self, **more) -> int:
        self.start(**more)
        (status,) = self.forks.end()
        return status

    def interrupted(self, number: int, moment: float) -> int:
        """Send a signal once a share of its time has passed. Returns the exit status."""
        process = self.start()
        time.sleep(moment * self.seconds)
        with suppress(ProcessLookupError):  # it was quicker
            os.kill(process, number)
        (status,) = self.forks.end()
        return status

    def unfinished(self) -> set[Path]:
        return set((self.root / "data").rglob(".*"))

    def said(self) -> str:
        return (self.root / "output.txt").read_text()

    def computed(self) -> Counter[str]:
        log = self.root / stage_forks.DONE
        return Counter(log.read_text().split() if log.exists() else [])

    def goes_on(self) -> int:
        """Run it to its end, which must be that of an unbroken run. Returns what was computed twice."""
        assert self.run() == 0, self.said()
        assert visible(self.root, self.outs) == self.whole
        return (self.computed() - self.once).total()


@pytest.fixture(scope="module")
def stage(forks, root, tmp_path_factory):
    """``stage(name)`` in a copy of a finished run, with more to draw and to train, so that kills come amid it."""

    def copied(name):
        own = shutil.copytree(root, tmp_path_factory.mktemp("kills") / "run")
        settings = yaml.safe_load((own / "params.yaml").read_text())
        for section, changes in LONGER.items():
            (settings["mix"]["mixture"] if section == "mix" else settings[section]).update(changes)
        settings["train_lora"]["aesthetic"] |= LONGER["mix"]
        (own / "params.yaml").write_text(drawn.yaml_text(settings))
        return Stage(forks, own, name)

    return functools.cache(copied)


@pytest.mark.parametrize("name", OUTS)
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(stage, torture, counts, name):
    tried, moments, killed = stage(name), random.Random(name), 0
    for _ in range(10 * (torture or KILLS)):
        tried.afresh()
        status = tried.interrupted(signal.SIGKILL, moments.random())
        if status == 0:  # it was quicker
            continue
        killed += 1
        assert status == -signal.SIGKILL
        after, begun = visible(tried.root, tried.outs), tried.computed().total()
        assert all(after[out] in ({}, tried.whole[out]) for out in tried.outs)
        twice = tried.goes_on()
        in_place = after == tried.whole and not list(tried.root.glob(".work/*/*.pt"))  # all but the goodbye was said
        assert twice <= AT_ONCE.get(name.split()[0], 1) or in_place
        counts[f"kills of {name.split()[0]}"] += 1
        counts[f"kills of {name.split()[0]} after all was in place"] += after == tried.whole
        counts[f"kills of {name.split()[0]} that cost a shard or step"] += twice > 0
        counts[f"kills of {name.split()[0]} after drawing or training began"] += begun > 0 and after != tried.whole
        if killed == (torture or KILLS):
            break
    else:
        pytest.fail(f"only {killed} kills came before the end of {name}")


def errors(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("Error: ")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", LONG)
def test_asked_to_stop_it_keeps_what_it_has_and_says_so_in_one_line(stage, counts, name, number):
    tried = stage(name)
    tried.afresh()
    before = tried.unfinished()
    status = tried.interrupted(number, 0.6)
    if status != 0:  # else it was over before
        (line,) = errors(tried.said())
        assert status == 1 and "run again to go on from there" in line and "Traceback" not in tried.said()
        assert tried.unfinished() <= before
        counts["stops by SIGTERM or Ctrl-C"] += 1
    # a step is done to its end, and so is a shard that is only to be written, but not one that is being drawn
    amid = name in ("generate", "evaluate base")
    assert tried.goes_on() <= amid


@pytest.mark.parametrize("name", OUTS)
def test_asked_to_stop_at_any_moment_it_says_so_in_one_line_unless_it_was_over(stage, torture, counts, name):
    tried, moments = stage(name), random.Random(name)
    for number in (signal.SIGTERM, signal.SIGINT) * (torture or 1):
        tried.afresh()
        status = tried.interrupted(number, moments.random())
        if status != 0:
            (line,) = errors(tried.said())
            assert status == 1 and "run again to go on from there" in line and "Traceback" not in tried.said()
            counts["stops at random moments"] += 1
    tried.goes_on()  # the tests that follow begin with a finished stage


@pytest.mark.parametrize("name", OUTS)
def test_a_file_that_may_not_grow_is_one_line_and_nothing_is_written(stage, name):
    tried = stage(name)
    remove(tried.root, ".work")
    assert tried.run(largest=1000) == 1
    (line,) = errors(tried.said())
    assert "File too large" in line and "Traceback" not in tried.said()
    assert visible(tried.root, tried.outs) == tried.whole
    assert tried.run() == 0 and visible(tried.root, tried.outs) == tried.whole


def mounts() -> bool:
    """Whether this user may mount something in a process of its own."""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(shutil.which("unshare") is None or not mounts(), reason="nothing can be mounted here")
ROOM = 8  # kB; no store of these stages fits


@needs_mounts
@pytest.mark.parametrize("name", LONG)
def test_a_disk_that_is_really_full_is_one_line_and_nothing_is_written(stage, counts, name):
    tried = stage(name)
    remove(tried.root, ".work")
    (tried.root / ".work").mkdir()
    full = [str(tried.root / ".work"), ["-t", "tmpfs", "-o", f"size={ROOM}k", "none", "{}"]]
    assert tried.run(mount=full) == 1
    (line,) = errors(tried.said())
    assert "No space left on device" in line and "Traceback" not in tried.said()
    assert visible(tried.root, tried.outs) == tried.whole
    assert tried.run() == 0 and visible(tried.root, tried.outs) == tried.whole
    counts["real disks full"] += 1


READ_ONLY = ["-o", "bind,ro", "{}", "{}"]


@needs_mounts
@pytest.mark.parametrize("name", LONG)
def test_a_work_store_that_is_really_read_only_is_one_line_unless_all_is_in_it(stage, counts, name):
    tried = stage(name)
    store = str(tried.root / ".work")
    assert tried.run() == 0
    remove(tried.root, *tried.outs)
    assert tried.run(mount=[store, READ_ONLY]) == 0, tried.said()
    assert visible(tried.root, tried.outs) == tried.whole
    remove(tried.root, ".work")
    Path(store).mkdir()
    assert tried.run(mount=[store, READ_ONLY]) == 1
    (line,) = errors(tried.said())
    assert "Read-only file system" in line and "Traceback" not in tried.said()
    assert visible(tried.root, tried.outs) == tried.whole
    counts["real disks read-only"] += 2


@needs_mounts
@pytest.mark.parametrize("name", OUTS)
def test_a_folder_that_is_really_read_only_is_one_line(stage, counts, name):
    tried = stage(name)
    remove(tried.root, ".work")
    assert tried.run(mount=[str(tried.root), READ_ONLY]) == 1
    (line,) = errors(tried.said())
    assert "Read-only file system" in line and "Traceback" not in tried.said()
    assert visible(tried.root, tried.outs) == tried.whole
    counts["real disks read-only"] += 1


@pytest.mark.parametrize("name", LONG)
def test_two_at_once_on_one_store_make_the_same(stage, forks, tmp_path, name):
    tried = stage(name)
    other = shutil.copytree(tried.root, tmp_path / "other")
    for root in (tried.root, other):
        remove(root, ".work", *tried.outs)
    jobs = [tried.job | {"folder": str(root), "work": str(tmp_path / "store")} for root in (tried.root, other)]
    forks.start(*jobs)
    assert forks.end() == [0, 0], tried.said()
    assert visible(tried.root, tried.outs) == visible(other, tried.outs) == tried.whole
