"""Stages are stopped at every single change that they make to a file, in four ways, and run again.

Only what draws and what makes charts is replaced by something quick; what writes is what writes in earnest. All
stages at all changes in all ways take minutes: that is `make torture`. Else it is all for `generate`, a part for
the others.
"""

import os
import shutil
from collections import Counter

import pytest
import small_run
from interference import WAYS, Killed, interfering

OUTS = {
    "prompts": ("data/prompts", "data/questions", "metrics/prompts.json"),
    "generate": ("data/images", "metrics/generate.json"),
    "score aesthetic": ("data/scores/aesthetic.parquet",),
    "select aesthetic": ("data/selected/aesthetic", "metrics/select/aesthetic.json", "plots/select/aesthetic.csv"),
    "train_lora aesthetic": (
        "data/adapters/aesthetic",
        "metrics/train_lora/aesthetic.json",
        "plots/train_lora/aesthetic.csv",
    ),
    "mix mixture": ("data/adapters/mixture", "metrics/mix/mixture.json", "plots/mix/mixture.csv"),
    "evaluate base": ("data/evaluation/base",),
    "compare": (
        "metrics/evaluate.json",
        "metrics/elements.json",
        "metrics/groups.json",
        "plots/gains.csv",
        "data/samples.png",
    ),
    "report": ("data/report",),
}
"""What each stage writes."""

STRIDE = 3  # changes between two that are tried on each stage but one, outside of `make torture`
WHOLE = "VERSAT2I_TORTURE" in os.environ
CASES = [(stage, way) for stage in OUTS for way in WAYS if way == "killed" or stage == "generate" or WHOLE]


AT_ONCE = {"generate": 2, "evaluate": 2}
"""Shards that a stage has begun and not finished: one is drawn while the one before is written."""


def visible(root, outs):
    """Outputs by out: what has a hidden name is not there yet, or no more."""
    files = small_run.contents(root, *outs)
    shown = {name: digest for name, digest in files.items() if "/." not in name}
    return {out: {n: d for n, d in shown.items() if n == out or n.startswith(f"{out}/")} for out in outs}


def remove(root, *places):
    for place in places:
        if (root / place).is_dir():
            shutil.rmtree(root / place)
        else:
            (root / place).unlink(missing_ok=True)


def interfere(root, command, at, way):
    """Run a stage with an interference; what it ended with, None if it was killed, and whether it was struck."""
    with interfering(root, at, way) as it:
        try:
            done = small_run.run(command)
        except Killed:
            done = None
    return done, it.struck


def told_in_one_line(done):
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return isinstance(done.exception, SystemExit) and len(lines) == 1 and "traceback" not in done.stderr.lower()


def finished(root, done, in_place):
    """Whether the stage's work was done: it ended well, or all is in place and its checkpoint deleted."""
    return (done is not None and done.exit_code == 0) or (in_place and not list(root.glob(".work/*/*.pt")))


@pytest.mark.parametrize("stage, way", CASES)
def test_stopped_at_any_change_to_a_file_it_goes_on_to_the_same_bytes(root, computed, counts, stage, way):
    command, outs = tuple(stage.split()), OUTS[stage]
    whole, at = visible(root, outs), 0
    with small_run.inside(root):
        remove(root, ".work")
        computed.clear()
        assert small_run.run(command).exit_code == 0
        once = Counter(computed)
        while True:
            remove(root, ".work", *(outs if way == "killed" else ()))  # DVC removes them before it runs a stage
            computed.clear()
            done, struck = interfere(root, command, at, way)
            if not struck:
                break
            after = visible(root, outs)
            assert all(after[out] in ({}, whole[out]) for out in outs), at  # never a half
            if way != "killed":
                assert done.exit_code == 0 or told_in_one_line(done), (at, done.stderr, done.exception)
                assert after == whole or way == "read-only", at  # what was there before is still there
            again = small_run.run(command)
            assert again.exit_code == 0, (at, again.stderr)
            assert visible(root, outs) == whole, at
            counts["faults injected"] += 1
            if not finished(root, done, after == whole):
                twice = computed - once
                # one checkpoint interval, which is a step here; one shard that was drawn and one that was written
                assert twice.total() <= AT_ONCE.get(command[0], 1), (at, twice)
                counts["faults that cost a shard or step"] += twice.total()
            at += 1 if WHOLE or stage == "generate" else STRIDE
    assert done.exit_code == 0 and visible(root, outs) == whole
    assert at >= 6
