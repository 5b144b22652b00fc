"""Stands in for every module of `stages/`: the same command, dependencies and outputs, no model.

What it writes is drawn from the hash of all that dvc.yaml says the stage reads, so that a change of one
dependency or param changes every output downstream, as the real stages do, in a fraction of a second.
"""

import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import yaml

POOL = Path("data/images")
POOL_SHARDS, POOL_BYTES = 4, 256 * 1024  # by far the largest output, as the real one is
FILES, FILE_BYTES = 2, 4 * 1024
PATIENCE = 120  # seconds, on a machine with other work


def load(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)  # in C: the pipeline is read by every stage


def resolve(name: str, item: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The stage of dvc.yaml with the names of one matrix or foreach item put in."""
    body = load(Path("dvc.yaml").read_text())["stages"][name]
    items = body.get("foreach")
    place = items[item] if isinstance(items, dict) else item
    text = json.dumps(body.get("do", body))
    values = {"item.aspect": item, "item.variant": item, "item": place, "key": item}
    for label, value in {**values, "evaluate.split": settings["evaluate"]["split"]}.items():
        text = text.replace(f"${{{label}}}", value)
    return json.loads(text)


def first(entry: str | dict[str, Any]) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def read(stage: dict[str, Any], settings: dict[str, Any]) -> bytes:
    """Hash of the content of each dependency and the value of each param."""
    seen = hashlib.sha256()
    for dep in stage["deps"]:
        path = Path(dep)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                seen.update(file.read_bytes())
    for param in stage["params"]:
        value: Any = settings
        for part in param.split(".") if isinstance(param, str) else []:
            value = value[part]
        seen.update(repr(value).encode())
    return seen.digest()


def write(path: Path, seed: bytes) -> None:
    """A file if its name has an ending, else a folder of files; the pool is the largest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = random.Random(f"{seed.hex()} {path}")
    if path.suffix == ".json":
        path.write_text(f'{{"value": {draw.random()}}}\n')
    elif path.suffix == ".csv":
        path.write_text(f"step,loss,gain,variant,score,pool,picks\n0,{draw.random()},{draw.random()},a,0,1,1\n")
    elif path.suffix:
        path.write_bytes(draw.randbytes(FILE_BYTES))
    else:
        path.mkdir()
        count, size = (POOL_SHARDS, POOL_BYTES) if path == POOL else (FILES, FILE_BYTES)
        for i in range(count):
            (path / f"{i}.bin").write_bytes(draw.randbytes(size))
        if path.name == "mixture":  # a later stage depends on this one file of it
            (path / "mixture.json").write_text(f'{{"value": {draw.random()}}}\n')


def meet(amount: int) -> None:
    """Go on once so many of us are at work: no stage that is run after another ever would."""
    place = Path(".work/here")
    place.mkdir(parents=True, exist_ok=True)
    (place / str(os.getpid())).touch()
    end = time.monotonic() + PATIENCE
    while len(list(place.iterdir())) < amount:
        if time.monotonic() > end:
            sys.exit(f"nobody came in {PATIENCE} s")
        time.sleep(0.02)


def main(name: str, item: str) -> None:
    meet(int(os.environ.get("MEET", "0")))
    settings = load(Path("params.yaml").read_text())
    stage = resolve(name, item, settings)
    seed = read(stage, settings)
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            write(Path(first(out)), seed)
    for split in ("train", "dev", "eval") if name == "prompts" else ():
        for kind in ("prompts", "questions"):
            write(Path("data", kind, f"{split}.parquet"), seed)


if __name__ == "__main__":
    main(Path(__file__).stem, *(sys.argv[1:] or [""]))
