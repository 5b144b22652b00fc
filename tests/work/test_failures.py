"""Whatever ends a stage, its last line says what it was and what to do."""

import os
import re
import signal

import click
import pytest
import torch
from click.testing import CliRunner

from stages.command import stage
from versat2i.settings import environment
from versat2i.work import failures, timings


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
