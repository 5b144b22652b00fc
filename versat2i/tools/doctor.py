"""Check what a run needs of this machine and this clone, and say how to mend what is missing."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from versat2i.rewards.common import isolated
from versat2i.rewards.common.served import Served
from versat2i.settings import compute, environment, params
from versat2i.work import cluster, commands, hub

LOW_DISK = 5 * 2**30  # bytes; a run of the embedded world takes 0.3 GiB, real models far more
LOW_MEMORY = 2 * 2**30  # bytes


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: the thing.
        found: what it is like.
        advice: how to mend it, or None if nothing is wrong.
    """

    what: str
    found: str
    advice: str | None = None


def findings() -> list[Finding]:
    """Everything `versat2i doctor` looks at, in the order it is printed."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("versions", _versions),
        ("params", _params),
        ("model", _model),
        ("compute", _device),
        ("cluster", _cluster),
        ("memory", _memory),
        ("disk", _disk),
        ("hub", _hub),
        ("rewards", _rewards),
        ("dvc", _dvc),
        ("remote", _remote),
    ]
    return [_safely(what, check) for what, check in checks]


def _safely(what: str, check: Callable[[], Finding]) -> Finding:
    """A check whose own error is its finding; no error of one check hides what the others find."""
    try:
        return check()
    except (ValueError, OSError) as error:  # these say what to do
        return Finding(what, "wrong", " ".join(str(error).split()))
    except Exception as error:
        text = " ".join(str(error).split())
        return Finding(what, "cannot be told", f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _python() -> Finding:
    return Finding("python", f"{sys.version.split()[0]} at {sys.executable}")


def _versions() -> Finding:
    environment.check()
    found = {name: version for name, version in environment.installed().items() if version}
    return Finding("versions", ", ".join(f"{name} {version}" for name, version in found.items()))


def _params() -> Finding:
    settings = params.load()
    return Finding("params", f"{', '.join(settings.aspects)}; model {settings.model.name}")


def _model() -> Finding:
    model = params.load().model
    if model.repo is not None:
        return Finding("model", f"{model.repo} at {model.revision}, from the hub")
    if model.path is None:
        missing = None if Path(model.name).is_file() else "set model.file in params.yaml to a checkpoint in one file"
        return Finding("model", f"{model.name}{', a single file' if missing is None else ': no such file'}", missing)
    index = Path(model.path) / "model_index.json"
    if not index.is_file():
        advice = "run `make model` (it trains the embedded one), or set model.path in params.yaml to a diffusers folder"
        return Finding("model", f"{index}: there is no such file", advice)
    return Finding("model", f"{model.path}, a local folder")


def _device() -> Finding:
    import torch  # seconds to import

    from versat2i.models.diffusion import running

    machine = compute.load()
    device = machine.torch_device()
    if device.startswith("cuda") and machine.engine != "ray":
        name = torch.cuda.get_device_name(device)
    else:
        without = "" if running.multiplies_in("bfloat16", device) else " without bfloat16"
        name = f"{os.cpu_count()} CPU cores{without}"
    rows = "" if machine.micro_batch is None else f" {machine.micro_batch} rows at a time"
    training = f", training on {machine.devices}{rows}" if rows or machine.devices > 1 else ""
    told = f"{device} ({name}), engine {machine.engine}, {machine.workers} workers, {machine.jobs} jobs{training}"
    return Finding("compute", told)


def _cluster() -> Finding:
    machine = compute.load()
    if machine.engine != "ray":
        seen = machine.gpus()
        several = f"; a stage's shards go to {len(seen)} GPUs" if seen else ""
        return Finding("cluster", f"none: engine {machine.engine}{several}")
    with cluster.connected(machine.ray) as address:
        found = cluster.nodes()
    has = ", ".join(f"{each.host} ({_amounts(each.resources)})" for each in found)
    room, wants = cluster.room(machine, found), _amounts(cluster.need(machine, found))
    most = room if machine.workers == "auto" else min(room, machine.workers)
    advice = None
    if not room:
        advice = f"no node has {wants} for a worker: lower ray.gpus or ray.cpus in compute.yaml, or add nodes"
    disk = "one disk" if cluster.is_shared(machine.ray) else "files are sent"
    return Finding("cluster", f"{address}: {has}; a stage gets up to {most} workers of {wants}, {disk}", advice)


def _amounts(resources: dict[str, float]) -> str:
    """CPUs, GPUs and the GPUs' kind, as Ray names them."""
    kinds = [name.partition(":")[2] for name in resources if name.startswith("accelerator_type:")]
    return ", ".join([f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if resources.get(name)] + kinds)


def _memory() -> Finding:
    free = psutil.virtual_memory().available  # with what the system holds of files and would give back
    advice = "less than 2 GiB is free: close programs or lower generate.batch_size" if free < LOW_MEMORY else None
    return Finding("memory", f"{free / 2**30:.1f} GiB free", advice)


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    advice = None
    if free < LOW_DISK:
        advice = (
            "less than 5 GiB is free: `versat2i work --prune`, `dvc gc --workspace`, or VERSAT2I_WORK on another disk"
        )
    return Finding("disk", f"{free / 2**30:.1f} GiB free here", advice)


def _hub() -> Finding:
    if params.load().model.place[1] is None:
        return Finding("hub", "not needed: the model is on this machine")
    from huggingface_hub import get_token  # not instant

    token = "with" if get_token() else "without"
    return Finding("hub", f"{'off' if hub.offline() else 'on'}line, {token} a token")


def _rewards() -> Finding:
    settings, machine = params.load(), compute.load()
    chosen = [settings.rewards[aspect] for aspect in settings.scored] + settings.evaluate.judges
    apart = {reward.environment.name: reward.environment for reward in chosen if reward.environment}
    places = [f"{name} at {isolated.python_of(environment, machine)}" for name, environment in sorted(apart.items())]
    served = [reward.options for reward in chosen if reward.options.get("server") is not None]
    for model, server in sorted({(options["model"], options["server"]) for options in served}):
        asked = Served(model, server, machine.servers)
        asked.expect()
        places.append(str(asked))
    return Finding("rewards", ", ".join(places) or "none runs in an environment of its own or is served")


def _dvc() -> Finding:
    if importlib.util.find_spec("dvc") is None:
        return Finding("dvc", "not installed", "run `make setup`")
    if not Path(".dvc").is_dir():
        return Finding("dvc", "no repository", "change to a clone of the repository (it has a folder .dvc)")
    try:
        stages = commands.output("dvc", "stage", "list", "--name-only").split()
    except commands.Failed as error:
        advice = "`git clone` the project: a downloaded archive is none" if "git repository" in error.reason else None
        return Finding("dvc", error.reason, advice or "mend what dvc says, then `dvc status`")
    return Finding("dvc", f"{len(stages)} stages, cache in {commands.output('dvc', 'cache', 'dir').strip()}")


def _remote() -> Finding:
    listed = commands.output("dvc", "remote", "list").strip()
    if not listed:
        return Finding("remote", "none: results stay on this machine; `dvc remote add -d team URL` shares them")
    return Finding("remote", "; ".join(" ".join(line.split()[:2]) for line in listed.splitlines()))
