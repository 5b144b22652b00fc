"""What the pipeline costs on many candidates: a run with a stand-in model and evaluators, everything else real.

It has a folder with a git and DVC project of its own. Models, evaluators and trainings are `bench.stand_ins`, which
take next to no time; images have 8 pixels to a side. Select, compare, report, the work store, DVC and its remote
are real.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench import stand_ins

# the process that measures stays small: a child's peak memory is at least that of whoever starts it

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("versat2i", "stages", "bench", "dvc.yaml", "params.yaml", "environment.json", "plugins.json", ".dvcignore")
EVALUATED = 0.1  # images of all variants together, as a share of the candidates
BUCKET, KEY, SECRET = "bucket", "bench", "not-a-real-secret"
STAND_INS = ("prompts", "generate", "score", "train_lora", "mix", "evaluate")
CONFIG = """[core]
    analytics = false
    check_update = false
    remote = bench
[cache]
    type = "hardlink,copy"
"""  # copies alone would hold everything twice
PYTHON = ("python", "-m")
FIRST = (str(Path(sys.executable).parent),)  # on the path of what is measured
STARTS_WITHIN = 60.0  # seconds, of the S3 server


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        seconds: on the clock, the start of Python included.
        processor: seconds of processor time, which other work on the machine changes little.
        peak: resident memory at its highest, of the command or of a process it started, in bytes.
        output: what it printed.
    """

    seconds: float
    processor: float
    peak: int
    output: str


def measured(root: Path, *command: str) -> Cost:
    """Run a command in a folder, with this Python first on the path.

    Raises:
        click.ClickException: it fails; its last lines are shown.
    """
    path = os.pathsep.join([*FIRST, os.environ["PATH"]])
    home = {"VERSAT2I_WORK": str(root / ".work"), "DVC_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(root), **home}
    log = root.with_name(f"{root.name}.log")
    start = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=root, env=variables, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    output = log.read_text(errors="replace")
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: {output[-2000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def project(root: Path, candidates: int, at_once: bool) -> None:
    """Write a project with stand-ins where a model would compute; `at_once`: those without the work store."""
    from versat2i.settings import environment

    root.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, root / name)
    environment.write(root / environment.FILE)
    text = (root / "dvc.yaml").read_text()
    for stage in STAND_INS:
        name = stand_ins.AT_ONCE.get(stage, stage) if at_once else stage
        text = re.sub(rf"cmd: python -m stages\.{stage}\b", f"cmd: python -m bench.stand_ins {name}", text)
    (root / "dvc.yaml").write_text(text)
    (root / "compute.yaml").write_text("device: cpu\nengine: inline\n")
    (root / ".gitignore").write_text("/data/\n/.work/\n__pycache__/\n")
    size(root, candidates)
    measured(root, "git", "init", "-q")
    (root / ".dvc").mkdir()
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".dvc/config").write_text(CONFIG)


def size(root: Path, candidates: int) -> None:
    """Write the number of prompts into params: so many that there are as many candidates, evaluated a share of them."""
    from ruamel.yaml import YAML

    yaml = YAML()
    path = root / "params.yaml"
    content = yaml.load(path)
    variants, drawn = len(content["evaluate"]["variants"]), content["evaluate"]["per_prompt"]
    content["prompts"]["train"][0]["grammar"] = candidates // content["generate"]["per_prompt"]
    if not (root / "data").exists():  # later the candidates grow, the evaluation stays
        content["prompts"]["eval"][0]["grammar"] = max(2, round(EVALUATED * candidates / variants / drawn))
    for rule in content["select"].values():
        rule |= {"per_prompt": 1, "min_selected": 1}
    yaml.dump(content, path)


def commit(root: Path, message: str) -> None:
    measured(root, "git", "add", "-A")
    measured(root, "git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", message)


def stages(root: Path) -> list[tuple[str, ...]]:
    """The commands of all stages, in order, each as ``name, argument``."""
    from ruamel.yaml import YAML

    settings = YAML(typ="safe").load(root / "params.yaml")
    by_aspect = [(stage, aspect) for stage in ("score", "select", "train_lora") for aspect in settings["aspects"]]
    unions = [("mix", name) for name in settings["mix"]]
    variants = [("evaluate", variant) for variant in settings["evaluate"]["variants"]]
    return [("prompts",), ("generate",), *by_aspect, *unions, *variants, ("compare",), ("report",)]


def command(stage: str, *arguments: str) -> list[str]:
    called = ["bench.stand_ins", stage] if stage in STAND_INS else [f"stages.{stage}"]
    return [*PYTHON, *called, *arguments]


@contextlib.contextmanager
def remote(root: Path) -> Iterator[str]:
    """Give the project a remote: rclone's S3 server where rclone is installed, else a folder; says which."""
    folder = root.with_name(f"{root.name}-remote")
    (folder / BUCKET).mkdir(parents=True)
    rclone = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    try:
        if rclone is None:
            _tell_remote(root, url=str(folder))
            yield "a folder"
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = f"127.0.0.1:{port}"
        serve = [rclone, "serve", "s3", str(folder), "--addr", address, "--auth-key", f"{KEY},{SECRET}", "--config", ""]
        with folder.with_suffix(".log").open("wb") as log:
            server = subprocess.Popen(serve, stdout=log, stderr=log)
        try:
            _wait(port)
            keys = {"access_key_id": KEY, "secret_access_key": SECRET}
            _tell_remote(root, url=f"s3://{BUCKET}/run", endpointurl=f"http://{address}", **keys)
            yield "S3 (rclone)"
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder)


def _tell_remote(root: Path, **options: str) -> None:
    lines = [f"    {name} = {value}\n" for name, value in options.items()]
    (root / ".dvc/config.local").write_text("".join(["['remote \"bench\"']\n", *lines]))


def _wait(port: int) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        if time.monotonic() > end:
            raise click.ClickException(f"no S3 server answers at port {port}")
        time.sleep(0.1)


def run(root: Path, candidates: int, more: float, tell: Callable[[str, Cost], None]) -> dict[str, Any]:
    """Make the run, measure it, and measure what more prompts cost.

    Args:
        root: a new folder.
        candidates: how many.
        more: the share of prompts that are appended for the rerun; 0: none, and the candidates are written at once.
        tell: is given each measurement once it is made.

    Returns:
        what else there is to say: see `counted` and `opened`.
    """
    project(root, candidates, at_once=not more)
    steps = stages(root)
    if not more:  # one process for all stand-ins
        tell("stand-ins", measured(root, *PYTHON, "bench.stand_ins", "everything"))
        steps = [step for step in steps if step[0] not in STAND_INS]
    for stage, *arguments in steps:
        tell("@".join([stage, *arguments]), measured(root, *command(stage, *arguments)))
    page = opened(root / "data" / "report")
    commit(root, "a run")
    tell("dvc commit", measured(root, "dvc", "commit", "-f", "-q"))
    commit(root, "its lock")
    tell("dvc status", measured(root, "dvc", "status"))
    with remote(root) as where:
        tell(f"dvc push of candidates and scores to {where}", measured(root, "dvc", "push", "generate", "score"))
    if not more:
        return page
    size(root, round(candidates * (1 + more)))
    rerun = measured(root, "dvc", "repro")
    tell(f"dvc repro after {more:.0%} more prompts", rerun)
    return counted(rerun.output) | page


def counted(output: str) -> dict[str, int]:
    """How many candidates a rerun drew and scored, and how many there are, by what the stages print."""
    drawn = re.findall(r"generate: (\d+) candidates of \d+ prompts, (\d+) of them drawn now", output)
    scored = re.findall(r"score@\w+: (\d+) images by .*?, (\d+) of them scored now", output)
    return {
        "candidates": int(drawn[0][0]),
        "drawn": int(drawn[0][1]),
        "to score": sum(int(images) for images, _ in scored),
        "scored": sum(int(new) for _, new in scored),
    }


def opened(report: Path) -> dict[str, Any]:
    """Sizes of the report in bytes and pictures; with Node, seconds to load its data and sort by the worst change."""
    found: dict[str, Any] = {
        "page bytes": (report / "index.html").stat().st_size,
        "data bytes": (report / "prompts.js").stat().st_size,
        "pictures": sum(1 for path in report.rglob("*.webp")),
    }
    node = shutil.which("node")
    if node:
        script = (
            "const t = process.hrtime.bigint(); require(process.argv[1]); const d = globalThis.versat2iReport;"
            "const o = require(process.argv[2]);"
            "o.list(d, {order: 'worst', variant: d.variants.length - 1, metric: 'all', category: '', source: '',"
            " words: ''}); console.log(Number(process.hrtime.bigint() - t) / 1e9)"
        )
        files = [str((report / "prompts.js").resolve()), str(ROOT / "versat2i/report/order.js")]
        done = subprocess.run([node, "-e", script, *files], capture_output=True, text=True, check=True)
        found["seconds to load and sort"] = float(done.stdout)
    return found


@click.command()
@click.option("--candidates", multiple=True, type=int, default=(10_000,), show_default=True)
@click.option(
    "--more", default=0.01, show_default=True, help="Share of prompts appended for the rerun; 0: no rerun, fast."
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".study/scale"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave the projects there.")
def main(candidates: tuple[int, ...], more: float, folder: Path, keep: bool) -> None:
    """Make a run of so many CANDIDATES, and print what each step costs: 4 kB of disk and 3 ms of a core a candidate.

    \b
    Example:
        python -m bench.scale --candidates 10000 --candidates 100000
    """
    for amount in candidates:
        root = folder.resolve() / str(amount)
        click.echo(f"\n{amount} candidates\n\n| | seconds | of processor time | peak MB |\n|---|---|---|---|")

        def tell(name: str, cost: Cost) -> None:
            click.echo(f"| {name} | {cost.seconds:.1f} | {cost.processor:.1f} | {cost.peak / 1e6:.0f} |")

        try:
            for name, value in run(root, amount, more, tell).items():
                click.echo(f"{name}: {value}")
        finally:
            if not keep:
                shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
