"""Stages as processes that can be killed, each a fork of this one, which has imported everything once.

Reads requests from standard input, a line of JSON each: a list of jobs to run at once, each with ``command, folder,
output`` and perhaps ``work`` (the store), ``largest`` (bytes of a file) and ``mount`` (the arguments of `mount`).
Answers with the process ids, and once all have ended with their exit statuses; a negative one is a signal.
"""

import ctypes
import functools
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DONE = "computed.log"  # in a job's folder: each shard that was begun and each step that was trained, a line each
MODULES = (
    "generate.painter",
    "rewards.common.scoring",
    "train.expert",
    "train.loop",
    "mix.unions",
    "adapters.loading",
    "report.page",
)
STOPS = (signal.SIGTERM, signal.SIGINT)
STAGES = ("prompts", "generate", "score", "select", "train_lora", "mix", "evaluate", "compare", "report")


def noting(function: Callable, note: Callable[..., str]) -> Callable:
    """The function, noting each call in a file; what is noted is there even if the process is killed at once."""

    @functools.wraps(function)
    def noted(*arguments: Any, **options: Any) -> Any:
        with Path(DONE).open("ab", buffering=0) as file:
            file.write(note(*arguments).encode() + b"\n")
        return function(*arguments, **options)

    return noted


def prepare() -> None:
    """Import what stages import and hash the code that they run: each fork has both."""
    fingerprint = importlib.import_module("versat2i.work.fingerprint")
    fingerprint.digest = functools.cache(fingerprint.digest)
    modules = {name: importlib.import_module(f"versat2i.{name}") for name in MODULES}
    rewards = importlib.import_module("versat2i.rewards")
    for aspect, evaluator, options in (("aesthetic", "classical", {}), ("faithfulness", "tifa", {"vqa": "shapes"})):
        reward = rewards.load(aspect, evaluator, **options)
        for part in (reward, *vars(reward).values()):
            fingerprint.digest(type(part).__module__)
    for name in MODULES[:-1]:
        fingerprint.digest(f"versat2i.{name}")
    importlib.import_module("diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion")
    for name in STAGES:
        importlib.import_module(f"stages.{name}")
    painter, nn = modules["generate.painter"].Painter, modules["train.loop"].nn
    painter.batches = noting(painter.batches, lambda self, shard: shard.name)
    nn.utils.clip_grad_norm_ = noting(nn.utils.clip_grad_norm_, lambda *_: "step")


CLONE_NEWNS = 0x20000  # linux/sched.h


def mount(folder: str, options: list[str]) -> None:
    """Mount something over a folder, for this process alone.

    Args:
        folder: what lies in it is hidden meanwhile.
        options: of ``mount``; ``{}`` stands for the folder.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "cannot have mounts of its own")
    for words in (["--make-rprivate", "/"], [option.replace("{}", folder) for option in options]):
        subprocess.run(["mount", *words], check=True)


def work(job: dict[str, Any]) -> None:
    """In the fork: be the stage."""
    os.chdir(job["folder"])
    os.environ["VERSAT2I_WORK"] = job.get("work", ".work")
    for descriptor in (1, 2):
        os.dup2(os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), descriptor)
    if "largest" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    if "mount" in job:
        mount(*job["mount"])
    os.chdir(job["folder"])  # again: what is mounted over it is another folder
    name, *arguments = job["command"]
    failures = importlib.import_module("versat2i.work.failures")
    failures.tell_early(["-m", f"stages.{name}", *arguments])  # as in a process of its own: stages/__init__.py
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    status = 255
    try:
        importlib.import_module(f"stages.{name}").main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve() -> None:
    prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        children = []
        for job in json.loads(line):
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # they wait until the fork is a stage
            child = os.fork()
            if child == 0:
                work(job)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            children.append(child)
        print(json.dumps(children), flush=True)
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


if __name__ == "__main__":
    serve()
