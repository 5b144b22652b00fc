"""`dvc repro` with stages side by side; no stage of the pipeline itself."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from versat2i.rewards.common import plugins
from versat2i.settings import compute
from versat2i.tools import dvc
from versat2i.work import cluster, order

ARROW = re.compile(r'"(.+?)" -> "(.+?)";')
NODE = re.compile(r'^"(.+?)";$', re.MULTILINE)
# what DVC says of work that goes well; `--quiet` would hide with it why it failed
CHATTER = re.compile(
    r"Running stage '|> |Stage '.+' didn't change|(Generating|Updating) lock file|Use `dvc push`|$"
    r"|To track the changes with git|\tgit add |To enable auto staging|\tdvc config core\.autostage"
)


def _needs() -> dict[str, set[str]]:
    """The pipeline's graph: of each stage, those that it needs."""
    graph = dvc.output("dag", "--dot")
    needs: dict[str, set[str]] = {stage: set() for stage in NODE.findall(graph)}
    for earlier, stage in ARROW.findall(graph):
        needs[stage].add(earlier)
    return needs


UNCHANGED = re.compile(r"Stage '.+' didn't change")
CLOSING = ("Data and pipelines are up to date", "Use `dvc push`")


def _stages(number: int) -> str:
    return f"{number} stage{'' if number == 1 else 's'}"


class Processes:
    """DVC's processes, each in a session of its own with its stage, so that Ctrl-C can be handed to all of it.

    Attributes:
        left: how many stages are still to be run or looked at; each that ends says so.
    """

    def __init__(self, left: int) -> None:
        self.lock, self.running, self.stopped = threading.Lock(), set[subprocess.Popen[str]](), False
        self.left = left

    def run(self, stage: str) -> bool:
        """Run a stage if it has changed, and show what it and DVC's errors say line by line; False if it failed."""
        command = ["dvc", "--wait-for-lock", "repro", "--single-item", stage]
        # threads that wait must not spin where others could work
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
        with self.lock:
            if self.stopped:
                return False
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                start_new_session=True,
            )
            self.running.add(process)
        with process:
            for line in process.stdout or ():
                if not CHATTER.match(line):
                    click.echo(line, nl=False)
        with self.lock:
            self.running.discard(process)
            if process.returncode == 0:
                self.left -= 1
                click.echo(f"{_stages(self.left)} left")
        return process.returncode == 0

    def stop(self, *_: object) -> None:
        """Let every stage write its checkpoint and end, and begin no other; a signal's handler."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)


@click.command()
def main() -> None:
    """Run what has changed, `jobs` stages of compute.yaml at a time.

    \b
    Example:
        python -m versat2i.tools.repro
    """
    try:
        plugins.write()  # so that DVC sees a mended plug-in
        changed = set(json.loads(dvc.output("status", "--json")))
        if not changed:
            raise SystemExit(_last_word())
        with _jobs(compute.load()) as jobs:  # to find the device, torch is imported
            if jobs > 1:
                _side_by_side(changed, jobs)
            status = _last_word()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(status)


MOST_JOBS = 16  # stages at a time on a cluster: each is a process here that waits


@contextmanager
def _jobs(machine: compute.Compute) -> Iterator[int]:
    """How many stages to run at a time; with `ray` as many as workers have room, on one cluster that stages share."""
    if machine.engine != "ray":
        yield machine.stages_at_once()
        return
    with cluster.connected(machine.ray) as address:
        alone = cluster.address_of(machine.ray) == "local"
        if alone:
            os.environ[cluster.LOCAL] = address
        try:
            room = cluster.room(machine, cluster.nodes())
            yield max(1, min(room, MOST_JOBS)) if machine.jobs == "auto" else machine.jobs
        finally:
            if alone:
                del os.environ[cluster.LOCAL]


def _last_word() -> int:
    """`dvc repro` of what is left, with one line for all stages that have not changed. Returns its exit status."""
    unchanged = 0
    with subprocess.Popen(["dvc", "repro"], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if UNCHANGED.match(line):
                unchanged += 1
            elif line.strip() and not line.startswith(CLOSING):
                click.echo(line, nl=False)
    click.echo(f"{_stages(unchanged)} {'is' if unchanged == 1 else 'are'} up to date")
    return process.returncode


def _side_by_side(changed: set[str], jobs: int) -> None:
    needs = _needs()
    stale = order.affected(needs, changed & needs.keys())
    processes = Processes(len(stale))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, processes.stop)
    failed = order.run({stage: needs[stage] & stale for stage in stale}, processes.run, jobs)
    if failed:
        raise click.ClickException(f"{', '.join(failed)}: see above; what is finished is kept, run again to go on")


if __name__ == "__main__":
    main()
