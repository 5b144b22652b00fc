"""`make repro` runs stages side by side and leaves what `dvc repro` leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forks
import pytest
import yaml
from projects import GIT, ran, run

from versat2i.work import cluster
from versat2i.work.fingerprint import ROOT

TURN = """
import sys, time
from pathlib import Path
name, other, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
Path(f"{name}.began").touch()
if other != "-":
    until = time.monotonic() + 30
    while not Path(f"{other}.began").exists():
        if time.monotonic() > until:
            sys.exit(f"{name}: {other} did not run beside it")
        time.sleep(0.01)
try:
    time.sleep(seconds)
except KeyboardInterrupt:
    Path(f"{name}.stopped").touch()
    sys.exit(1)
Path(name).write_text(name)
print(f"{name}: done")
"""


def pipeline(root, **stages):
    """A project of stages ``name=(deps, command)``."""
    body = {
        name: {"cmd": command, "deps": list(deps), "outs": [{name: {"cache": False}}]}
        for name, (deps, command) in stages.items()
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": body}))
    (root / "turn.py").write_text(TURN)
    (root / "compute.yaml").write_text("{device: cpu, jobs: 2}\n")
    for command in ((*GIT, "init", "-q"), ("dvc", "init", "-q")):
        run(root, *command)
    return root


def repro(root, first=None, **options):
    path = os.pathsep.join([str(first or forks.for_dvc()), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "versat2i.tools.repro"]
    return subprocess.Popen(command, cwd=root, env=environment, text=True, stdout=-1, stderr=-1, **options)


def ended(process):
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def turn(name, other="-", seconds=0):
    return f"{sys.executable} turn.py {name} {other} {seconds}"


def test_stages_run_side_by_side_and_dvc_finds_nothing_left_to_do(tmp_path):
    pipeline(
        tmp_path,
        first=([], turn("first")),
        one=(["first"], turn("one", "two")),  # each waits for the other to have begun
        two=(["first"], turn("two", "one")),
        last=(["one", "two"], turn("last")),
    )
    code, output, errors = ended(repro(tmp_path))
    assert code == 0, errors
    done = [line for line in output.splitlines() if line.endswith(": done")]
    assert done[0] == "first: done" and done[-1] == "last: done" and len(done) == 4
    assert ran(output) == []  # by the `dvc repro` that has the last word
    assert [x for x in output.splitlines() if x.endswith("left")] == [
        "3 stages left",
        "2 stages left",
        "1 stage left",
        "0 stages left",
    ]
    assert output.splitlines()[-1] == "4 stages are up to date" and "didn't change" not in output
    assert sorted(yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]) == ["first", "last", "one", "two"]


def test_a_second_run_runs_nothing_and_a_change_only_what_it_affects(tmp_path):
    pipeline(tmp_path, one=([], turn("one")), two=(["note"], turn("two")), last=(["two"], turn("last")))
    (tmp_path / "note").write_text("a")
    assert ended(repro(tmp_path))[0] == 0
    assert "done" not in ended(repro(tmp_path))[1]
    (tmp_path / "note").write_text("b")
    output = ended(repro(tmp_path))[1]
    assert [line for line in output.splitlines() if line.endswith(": done")] == ["two: done"]  # last: two is the same


def test_after_a_failure_what_runs_ends_and_nothing_else_begins(tmp_path):
    pipeline(
        tmp_path,
        bad=([], f'{turn("bad", "good")} && echo "what went wrong" && false'),
        good=([], turn("good", "bad", 1)),
        after=(["bad", "good"], turn("after")),
    )
    code, output, errors = ended(repro(tmp_path))
    assert code == 1 and "what went wrong" in output
    assert errors.splitlines()[-1] == "Error: bad: see above; what is finished is kept, run again to go on"
    assert (tmp_path / "good").exists() and not (tmp_path / "after.began").exists()


def test_what_dvc_itself_refuses_is_said(tmp_path):
    pipeline(tmp_path, bad=([], f"{sys.executable} -c pass"), good=([], turn("good")))
    code, output, errors = ended(repro(tmp_path))
    assert code == 1 and errors.splitlines()[-1].startswith("Error: bad: see above")
    assert "output 'bad' does not exist" in output
    assert not any(line.startswith(("Running stage", "> ", "Updating")) for line in output.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_reaches_every_stage_and_none_begins(tmp_path, number):
    pipeline(
        tmp_path,
        one=([], turn("one", "two", 60)),
        two=([], turn("two", "one", 60)),
        after=(["one", "two"], turn("after")),
    )
    process = repro(tmp_path, Path(sys.executable).parent, start_new_session=True)  # no fork would hear it
    until = time.monotonic() + 60
    while not all((tmp_path / f"{name}.began").exists() for name in ("one", "two")):
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(number)
    code, _, errors = ended(process)
    assert code == 1 and "run again to go on" in errors
    assert all((tmp_path / f"{name}.stopped").exists() for name in ("one", "two"))
    assert not (tmp_path / "after.began").exists()


@pytest.mark.slow
def test_stages_share_one_ray_of_this_machine_which_ends_with_the_run(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    told = f"{sys.executable} -c \"import os, sys; open(sys.argv[1], 'w').write(os.environ['VERSAT2I_RAY'])\" "
    pipeline(tmp_path, one=([], f"{told} one"), two=([], f"{told} two"))
    (tmp_path / "compute.yaml").write_text("{device: cpu, engine: ray, jobs: 2}")
    code, _, errors = ended(repro(tmp_path))
    assert code == 0, errors
    address = (tmp_path / "one").read_text()
    assert address == (tmp_path / "two").read_text() and not cluster._answers(address)
