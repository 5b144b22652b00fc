"""Whatever ends a stage, its last line says what it was and what to do."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from stages.command import stage
from versat2i.settings import environment
from versat2i.work import failures, files, fingerprint, timings


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    monkeypatch.setattr(environment, "check", lambda: None)


def ended(error):
    """How a stage ends that raises an error or calls a function."""

    @click.command()
    @stage
    def main() -> str:
        if callable(error):
            error()
            return "done"
        raise error

    return CliRunner().invoke(main)


def one_line(done):
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    (line,) = done.stderr.splitlines()
    return line.removeprefix("Error: ")


@pytest.mark.parametrize("error", [ValueError("a\n b"), OSError("a\n b")])
def test_an_error_that_was_foreseen_is_its_own_line(error):
    assert one_line(ended(error)) == "a b"


def test_an_error_without_words_is_still_an_error():
    assert one_line(ended(ValueError())) == "ValueError"


def test_an_error_that_was_not_foreseen_is_one_line_and_its_traceback_is_kept(tmp_path):
    line = one_line(ended(ZeroDivisionError("by zero")))
    kept = tmp_path / "work" / "errors" / "test_failures.txt"
    assert line == f"test_failures: ZeroDivisionError: by zero (traceback in {kept})"
    assert "raise error" in kept.read_text()


def test_where_no_traceback_can_be_kept_the_line_says_so(tmp_path):
    (tmp_path / "work").write_text("no folder")
    assert "no traceback" in one_line(ended(ZeroDivisionError()))


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    RuntimeError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("error", MEMORY)
@pytest.mark.parametrize(
    "name, setting",
    [
        ("generate", "generate.batch_size"),
        ("score@geometry", "rewards.geometry.batch_size"),
        ("train_lora@geometry", "train_lora.geometry.batch_size"),
        ("mix@mixture", "mix.mixture.batch_size"),
        ("evaluate@base", "evaluate.batch_size"),
    ],
)
def test_without_memory_the_line_names_the_batch_size_to_lower(error, name, setting):
    line = failures.line(error, name)
    assert line.startswith(f"{name}: out of memory") and f"Set a smaller {setting}" in line
    assert "made again" in line  # results never change silently


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory, says a file")])
def test_other_errors_are_not_about_memory(error):
    assert not failures.is_out_of_memory(error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_what_is_open_and_is_one_line(number):
    closed = []

    def work():
        try:
            os.kill(os.getpid(), number)
        finally:
            closed.append(number)

    before = signal.getsignal(signal.SIGTERM)
    line = one_line(ended(work))
    assert line == "test_failures: stopped; what is finished is kept, run again to go on from there"
    assert closed == [number] and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_a_library_turns_into_an_error_of_its_own_is_told_as_a_stop(number, monkeypatch):
    """pandas' encoder of JSON does, here while it asks a column of texts for its values."""
    frame = pd.DataFrame({"question": pd.array(["Is there a star?"], dtype="string")})
    asked = type(frame["question"].array)._values_for_json

    def interrupted(array):
        os.kill(os.getpid(), number)
        return asked(array)

    monkeypatch.setattr(type(frame["question"].array), "_values_for_json", interrupted)
    seen = []

    def work():
        try:
            frame.to_json(orient="records")
        except Exception as error:
            seen.append(type(error))
            raise

    line = one_line(ended(work))
    assert line == "test_failures: stopped; what is finished is kept, run again to go on from there"
    assert seen == [ValueError]


def test_a_stop_in_a_destructor_is_raised_again(capfd):
    """Python itself drops what a destructor raises, and goes on."""

    class Closing:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    def work():
        Closing()
        for _ in range(200):
            time.sleep(0.05)

    start = time.monotonic()
    assert one_line(ended(work)) == "test_failures: stopped; what is finished is kept, run again to go on from there"
    assert time.monotonic() - start < 5 and capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_a_stage_is_still_imported_is_one_line(number, tmp_path):
    """pandas, which the stage imports, is a module here that takes for ever."""
    (tmp_path / "pandas.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "stages.score", "geometry"]
    path = os.pathsep.join([str(tmp_path), str(fingerprint.ROOT)])
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        cwd=fingerprint.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == 1
    assert said == "Error: score@geometry: stopped; what is finished is kept, run again to go on from there\n"


def every_stop(*arguments):
    """A stage in runs that are stopped one bytecode later each, and one that is not: where, exit status, lines."""
    command = [sys.executable, str(Path(__file__).with_name("stop_everywhere.py")), *arguments]
    environment = os.environ | {"PYTHONPATH": str(fingerprint.ROOT)}
    done = subprocess.run(command, env=environment, cwd=fingerprint.ROOT, capture_output=True, text=True, check=True)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    return [(where, status, said.splitlines()) for where, status, said in runs]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_at_any_bytecode_that_begins_or_ends_a_stage_is_one_line(number):
    *stopped, (_, status, said) = every_stop(str(int(number)))
    assert status == 0 and said[0].startswith("stop_everywhere: done in ") and len(said) == 1
    told = "Error: stop_everywhere: stopped; what is finished is kept, run again to go on from there"
    lines = [[line for line in said if not line.startswith("stop_everywhere: done in ")] for *_, said in stopped]
    assert [run for run, errors in zip(stopped, lines, strict=True) if run[1] != 1 or errors != [told]] == []
    places = {where.partition(":")[0] for where, *_ in stopped}
    assert {"run", "terminable", "__enter__", "__exit__"} <= places


def test_a_stop_at_any_bytecode_of_a_stage_that_fails_ends_it_with_a_line():
    *stopped, (_, status, said) = every_stop(str(int(signal.SIGINT)), "no such file")
    assert (status, said) == (1, ["Error: no such file"])
    told = "Error: stop_everywhere: stopped; what is finished is kept, run again to go on from there"
    assert [run for run in stopped if run[1] != 1 or run[2] not in ([told], said, [*said, told])] == []


def test_a_stop_that_a_library_lost_for_good_is_told_at_the_end():
    def work():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    assert one_line(ended(work)) == "test_failures: stopped; what is finished is kept, run again to go on from there"


STAGE = """
import atexit, sys
from stages import command
from versat2i.work import failures
class Slow:
    def __del__(self):
        print("cleared away")
slow = Slow()
failures.tell_early(["-m", "stages.x"])
atexit.register(print, "last words")
command.environment.check = command.graph.check = lambda: None
command.stage(lambda: 1 / int(sys.argv[1]))()
"""


@pytest.mark.parametrize("number, status", [("1", 0), ("0", 1)])
def test_a_stage_ends_at_once_after_its_last_words(number, status, tmp_path):
    """No signal then comes while Python destroys what there is, which is deaf to it."""
    script = tmp_path / "x.py"
    script.write_text(STAGE)
    environment = os.environ | {"PYTHONPATH": str(fingerprint.ROOT)}
    done = subprocess.run(
        [sys.executable, script, number], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == status and done.stdout.endswith("last words\n")


def test_a_stop_is_forgotten_once_another_stage_begins():
    ended(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert one_line(ended(ValueError("a"))) == "a"


def test_a_full_disk_names_the_file_and_what_to_set(tmp_path):
    def fill():
        with files.new_file(tmp_path / "out.json"):
            raise OSError(errno.ENOSPC, "No space left on device")

    line = one_line(ended(fill))
    assert line.startswith(f"[Errno 28] No space left on device: '{tmp_path}/out.json'. Make room")
    assert "VERSAT2I_WORK" in line


def test_generators_of_a_stage_are_closed_before_its_last_line():
    """Worker processes live in one: none may begin another shard."""
    closed = []

    def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    def work():
        for _ in items():
            raise ValueError("in the middle")

    assert one_line(ended(work)) == "in the middle" and closed == [True]


def test_a_stage_that_is_done_is_done_though_its_time_cannot_be_kept(tmp_path):
    (tmp_path / "work").write_text("no folder")
    timings.note("generate", 1.0)
    done = ended(lambda: None)
    assert done.exit_code == 0 and re.search(r": done in \d\.\d s$", done.output.strip())
