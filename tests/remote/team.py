"""A team's repository in small: the project's own dvc.yaml and params, stand-ins for the stages, and its clones."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import drawn
import forks
import yaml
from projects import GIT, without
from servers import BUCKET, KEY, SECRET

from stages import graph
from versat2i.settings import params
from versat2i.work import fingerprint

HERE = Path(__file__).parent
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")
KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
ASPECTS = ("aesthetic", "geometry")
FROM_GEOMETRY = {"train_lora@geometry", "mix@mixture", "evaluate@geometry", "evaluate@mixture", "compare", "report"}
FILES = (
    "dvc.yaml",
    "params.yaml",
    "environment.json",
    "plugins.json",
    "Makefile",
    ".gitignore",
    ".dvcignore",
    ".dvc/config",
)
FILES += ("stages/__init__.py", "versat2i/tools/dvc.py", "versat2i/tools/repro.py", "versat2i/tools/run_cache.py")


def environment(keys: dict[str, str]) -> dict[str, str]:
    """Ours, without anybody's credentials but those given."""
    ours = ("AWS_", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(forks.for_dvc()), os.environ["PATH"]])
    # without retries: a server that a test kills does not come back while they go on
    client = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    return {**inherited, **client, "PATH": path, "PYTHONPATH": str(fingerprint.ROOT), **keys}


class Clone:
    """A working copy; commands run in it with the team's keys."""

    def __init__(self, root: Path, keys: dict[str, str] | None = None) -> None:
        self.root, self.keys = root, KEYS if keys is None else keys

    def run(self, *command: str, fails: bool = False) -> str:
        """What a command printed; it must succeed, or fail where that is what is asked for."""
        options = {"cwd": self.root, "env": environment(self.keys), "stderr": subprocess.STDOUT}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options)
        assert (done.returncode != 0) == fails, f"{command} ended with {done.returncode}\n{done.stdout[-5000:]}"
        return done.stdout

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.run("dvc", *arguments, fails=fails)

    def make(self, *arguments: str, fails: bool = False) -> str:
        """What `make` printed where everything is set up already."""
        return self.run("make", "-o", "setup", *arguments, fails=fails)

    def commit(self, message: str) -> None:
        self.run(*GIT, "add", "-A")
        self.run(*GIT, "commit", "-qm", message)

    def change(self, file: str, *place: str, to: object) -> None:
        """Put another value into dvc.yaml or params.yaml."""
        content = yaml.safe_load((self.root / file).read_text())
        section = content
        for name in place[:-1]:
            section = section[name]
        section[place[-1]] = to
        (self.root / file).write_text(yaml.safe_dump(content))

    @property
    def cache(self) -> Path:
        return self.root / ".dvc" / "cache"

    def locked(self) -> dict[str, str]:
        """Path -> md5 of each output, metrics and plots too, as dvc.lock has it."""
        stages = yaml.safe_load((self.root / "dvc.lock").read_text())["stages"].values()
        return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}

    def shared(self) -> set[str]:
        """The objects that a remote should hold after `make push`: outputs, and what a folder's object lists."""
        outs = set(self.locked().values())
        return outs.union(*(members(self.cache, md5) for md5 in outs if md5.endswith(".dir")))

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in (self.root / "data").rglob("*") if p.is_file()}


def smaller(pipeline: dict, settings: dict) -> None:
    """Leave out the modules that stages import: the same shape of graph, a third of DVC's time."""
    score = pipeline["stages"]["score"]
    score["foreach"] = dict.fromkeys(score["foreach"], "stages/score.py")  # for the folders of evaluators
    kept = ("data/", "stages/", "${item}", settings["model"]["path"])
    for stage in pipeline["stages"].values():
        body = stage.get("do", stage)
        body["deps"] = [dep for dep in body["deps"] if dep.startswith(kept)]


def start(root: Path) -> Clone:
    """The repository before its first run."""
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fingerprint.ROOT / name, root / name)
    settings = yaml.safe_load((root / "params.yaml").read_text())
    without({*settings["aspects"], *settings["mix"]} - {*ASPECTS, "mixture"}, settings)
    (root / "params.yaml").write_text(drawn.yaml_text(settings))
    graph.write(params.load(root / "params.yaml"), root / "dvc.yaml")
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    smaller(pipeline, settings)
    model = root / settings["model"]["path"]
    model.mkdir(parents=True)
    (model / "model_index.json").write_text("{}\n")
    for name in pipeline["stages"]:
        shutil.copy(HERE / "standin.py", root / f"stages/{name}.py")
    (root / "compute.yaml").write_text("jobs: 2\n")
    (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    clone = Clone(root)
    clone.run("git", "init", "-q", "-b", "main")
    clone.commit("start")
    return clone


def ran(output: str) -> set[str]:
    """The stages that were executed."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def objects(folder: Path) -> dict[str, Path]:
    """The objects of a cache, or of a remote that keeps plain files, by name; unfinished files have other names."""
    found = {path.parent.name + path.name: path for path in folder.joinpath("files", "md5").glob("*/*")}
    return {name: path for name, path in found.items() if OBJECT.fullmatch(name)}


def wrong(folder: Path) -> list[str]:
    """Objects whose content is not what their name says."""
    digests = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in objects(folder).items()}
    return [name for name, digest in digests.items() if name.removesuffix(".dir") != digest]


def members(cache: Path, md5: str) -> set[str]:
    """The objects that a folder's object lists."""
    return {entry["md5"] for entry in json.loads(objects(cache)[md5].read_text())}


def url(name: str = "team") -> str:
    return f"s3://{BUCKET}/{name}"
