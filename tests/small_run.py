"""The pipeline on tiny settings in a folder of its own, each stage called in this process."""

import copy
import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import drawn
import pytest
from click.testing import CliRunner, Result
from markupsafe import Markup

from versat2i.models import diffusion
from versat2i.report import charts
from versat2i.rewards.common import registry
from versat2i.settings import environment, params
from versat2i.work import fingerprint

ASPECTS = ("aesthetic", "faithfulness")
SPLITS = ("train", "dev", "eval")
VARIANTS = ("base", "aesthetic", "mixture")

STAGES = (
    ("prompts",),
    ("generate",),
    *(("score", aspect) for aspect in ASPECTS),
    *(("select", aspect) for aspect in ASPECTS),
    *(("train_lora", aspect) for aspect in ASPECTS),
    ("mix", "mixture"),
    ("mix", "uniform"),
    *(("evaluate", variant) for variant in VARIANTS),
    ("compare",),
    ("report",),
)
"""In the order of their dependencies."""

_SAMPLING = {"per_prompt": 2, "steps": 1, "guidance_scale": 2.0, "batch_size": 4, "prompts_per_shard": 1}
_TRAINING = drawn.TRAINING | {
    "steps": 2,
    "batch_size": 2,
    "learning_rate": 0.01,
    "caption_dropout": 0.1,
    "checkpoint_every": 1,
}
_RULE = {"threshold": {"absolute": -1.0e9}, "per_prompt": 1, "margin": 0.0, "min_selected": 1, "guard": []}


def settings(model: Path) -> dict:
    """Whole params on the tiny model of that folder."""
    return {
        "seed": 0,
        "aspects": list(ASPECTS),
        "model": {"path": str(model), "dtype": "float32", "mixed_precision": None, "threads": 1, "vae_tiling": False},
        "prompts": {
            split: [{"grammar": 2, "held_out": 0.0, "seed": n}] for n, split in enumerate(("train", "dev", "eval"))
        },
        "generate": _SAMPLING | {"safety": "off"},
        "rewards": {"aesthetic": {"evaluator": "classical"}, "faithfulness": {"evaluator": "tifa", "vqa": "shapes"}},
        "select": {"aesthetic": _RULE | {"guard": ["faithfulness"]}, "faithfulness": dict(_RULE)},
        "train_lora": {aspect: _TRAINING | {"rank": 2, "alpha": 2.0, "targets": "attention"} for aspect in ASPECTS},
        "mix": {"mixture": drawn.GATES | _TRAINING, "uniform": {"kind": "uniform"}},
        "evaluate": _SAMPLING | {"split": "eval", "variants": list(VARIANTS), "judges": [], "resamples": 100},
    }


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Load the model (on the CPU), read params and what is installed, and hash the code once; make no charts."""
    load = functools.cache(diffusion.load)
    patch.setattr(diffusion, "load", lambda model, machine=None: copy.deepcopy(load(model)))
    for place, name in (
        (fingerprint, "digest"),
        (environment, "installed"),
        (params, "load"),
        (registry, "entry_points"),
    ):
        patch.setattr(place, name, functools.cache(getattr(place, name)))
    patch.setattr(charts, "_svg", lambda *_: Markup("<svg></svg>"))


def start(root: Path, model: Path) -> None:
    """Write the files that the pipeline starts with."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(drawn.yaml_text(settings(model)))
    (root / "compute.yaml").write_text("device: cpu\n")
    environment.write(root / environment.FILE)


def run(command: tuple[str, ...]) -> Result:
    """Call a stage in the current folder."""
    name, *arguments = command
    return CliRunner().invoke(import_module(f"stages.{name}").main, arguments)


def whole(root: Path, model: Path) -> Path:
    """A folder in which every stage has run."""
    start(root, model)
    with inside(root):
        for command in STAGES:
            done = run(command)
            assert done.exit_code == 0, (command, done.output, done.exception)
    return root


@contextmanager
def inside(root: Path) -> Iterator[None]:
    """The folder as the current one, with a work store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("VERSAT2I_WORK", raising=False)
        yield


def contents(root: Path, *places: str) -> dict[str, str]:
    """Hash of each file in places, by path; of everything that stages write where none is named."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in states(root, *places)}


def states(root: Path, *places: str) -> dict[str, tuple[int, ...]]:
    """What changes when a file is written, by path: cheaper than `contents`."""
    found = {}
    for place in places or ("data", "metrics", "plots"):
        below = [Path(folder, name) for folder, _, names in os.walk(root / place) for name in names]
        for path in [root / place] if (root / place).is_file() else below:
            status = path.lstat()
            found[str(path.relative_to(root))] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found
