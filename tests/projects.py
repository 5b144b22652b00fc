"""Copies of the project with tiny settings and a random model, and commands that run in them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import drawn
import forks
import yaml

from versat2i.work import fingerprint

TINY = {
    "prompts": {
        "train": [{"grammar": 6, "held_out": 0.0, "seed": 1}],
        "dev": [{"grammar": 3, "held_out": 0.5, "seed": 2}],
        "eval": [{"grammar": 4, "held_out": 0.5, "seed": 3}],
    },
    "generate": {"per_prompt": 4, "steps": 2, "batch_size": 16, "prompts_per_shard": 3},
    "evaluate": {"per_prompt": 2, "steps": 2, "prompts_per_shard": 3, "resamples": 100},
    "model": {"threads": 1},
}
RULE = {"threshold": {"absolute": -1.0e9}, "per_prompt": 1, "margin": 0.0, "min_selected": 1, "guard": []}
# alpha is not the rank: or the uniform merge of a single expert is that expert to the last byte
LORA = {"rank": 2, "alpha": 1.0, "steps": 2, "batch_size": 2}
# A random model draws blots: an aspect that may abstain on all of them would stop the pipeline here,
# so that the control stands in for it; the evaluator has tests of its own.
CONTROL = {"evaluator": "random"}
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


def tiny_params(root: Path) -> dict:
    settings = yaml.safe_load((root / "params.yaml").read_text())
    for section, changes in TINY.items():
        settings[section] |= changes
    for aspect in settings["aspects"]:
        settings["select"][aspect] = RULE
        settings["train_lora"][aspect] = settings["train_lora"][aspect] | LORA
    settings["rewards"] |= {"geometry": CONTROL}
    settings["mix"]["mixture"] |= {"steps": 2, "batch_size": 2}
    return settings


def environment(root: Path, forked: bool = True) -> dict[str, str]:
    """Where the project is what lies in `root`; `dvc` and `python` are forks, or new processes."""
    first = [forks.for_stages(), forks.for_dvc()] if forked else []
    path = os.pathsep.join([*map(str, first), str(Path(sys.executable).parent), os.environ["PATH"]])
    changes = {"PATH": path, "PYTHONPATH": str(root), "DVC_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # it doubles start-up
    return {**inherited, **changes}


def run(root: Path, *command: str, check: bool = True, forked: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=root, env=environment(root, forked), capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def ran(output: str) -> list[str]:
    """The stages that `dvc repro` executed."""
    return sorted(re.findall(r"Running stage '([^']+)'", output))


def without(dropped: set[str], settings: dict) -> None:
    """Take aspects or merges out of params, as one does by hand before `make graph`."""
    settings["aspects"] = [aspect for aspect in settings["aspects"] if aspect not in dropped]
    settings["evaluate"]["variants"] = [name for name in settings["evaluate"]["variants"] if name not in dropped]
    for rule in settings["select"].values():
        rule["guard"] = [aspect for aspect in rule["guard"] if aspect not in dropped]
    for section in ("rewards", "select", "train_lora", "mix"):
        for name in dropped & set(settings[section]):
            del settings[section][name]


def put(root: Path, settings: dict) -> None:
    """Write params and what follows from them in dvc.yaml."""
    (root / "params.yaml").write_text(drawn.yaml_text(settings))
    run(root, "python", "-m", "stages.graph")


def copy_project(root: Path, model: Path) -> Path:
    """The project as a new git repository with a tiny model and tiny settings."""
    made = (".venv", ".work", "data", "metrics", "plots", "dvc.lock", "__pycache__", ".*_cache")
    skipped = shutil.ignore_patterns(".git", "model", "cache", "tmp", *made)
    shutil.copytree(fingerprint.ROOT, root, ignore=skipped)
    shutil.copytree(model, root / "versat2i/shapes/model")
    put(root, tiny_params(root))
    (root / "compute.yaml").write_text("device: cpu\n")  # workers would import for seconds what forks have
    run(root, "git", "init", "-q")
    commit(root, "start")
    return root


def commit(root: Path, message: str) -> None:
    run(root, "git", "add", "-A")
    run(root, *GIT, "commit", "-qm", message)


def edit(root: Path, **changes: object) -> None:
    """Change params: ``edit(root, select__geometry__margin=1.0)``."""
    settings = yaml.safe_load((root / "params.yaml").read_text())
    for path, value in changes.items():
        *sections, name = path.split("__")
        place = settings
        for section in sections:
            place = place[section]
        place[name] = value
    put(root, settings)
