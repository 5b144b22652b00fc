"""The pipeline on tiny settings in a folder of its own, each stage called in this process."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from versat2i import codebase, environment

ASPECTS = ("aesthetic", "faithfulness")
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
_TRAINING = {"steps": 4, "batch_size": 2, "learning_rate": 0.01, "caption_dropout": 0.1, "checkpoint_every": 1}
_RULE = {"threshold": {"absolute": -1.0e9}, "per_prompt": 1, "margin": 0.0, "min_selected": 1}


def settings(model: Path) -> dict:
    """Whole params on the tiny model of that folder."""
    return {
        "seed": 0,
        "aspects": list(ASPECTS),
        "model": {"path": str(model), "dtype": "float32", "threads": 1},
        "prompts": {split: [{"grammar": 2, "seed": n}] for n, split in enumerate(("train", "dev", "eval"))},
        "generate": dict(_SAMPLING),
        "rewards": {"aesthetic": {"evaluator": "classical"}, "faithfulness": {"evaluator": "tifa", "vqa": "shapes"}},
        "select": {aspect: json.loads(json.dumps(_RULE)) for aspect in ASPECTS},
        "train_lora": {aspect: _TRAINING | {"rank": 2, "alpha": 2.0, "targets": "attention"} for aspect in ASPECTS},
        "mix": _TRAINING | {"scope": "token", "balance": 0.01, "variants": ["mixture", "uniform"]},
        "evaluate": _SAMPLING
        | {"split": "eval", "variants": dict.fromkeys(VARIANTS, ""), "judges": [], "resamples": 100},
    }


def start(root: Path, model: Path) -> None:
    """Write the files that the pipeline starts with."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(settings(model)))
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
    before = Path.cwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)


def contents(root: Path, *folders: str) -> dict[str, str]:
    """Hash of each file below folders, by path; of everything that stages write where none is named."""
    places = folders or ("data", "metrics", "plots")
    files = sorted(path for place in places for path in (root / place).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
