"""The table in docs/pipeline.md: what a change reruns, by real DVC and real stages on a tiny model.

Each row of the table is a test. How much of a stage's work was in the work store is counted too: images drawn and
scored, adapters trained.
"""

import re
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from projects import copy_project, edit, put, ran, run, tiny_params, without

from versat2i.settings import environment, params
from versat2i.work import fingerprint

DOCS = fingerprint.ROOT / "docs" / "pipeline.md"
STORED = ("generate", "score@", "train_lora@", "mix@", "evaluate@")  # stages with a work store
ASPECTS = ("aesthetic", "low_level")
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.M)
ITEM = re.compile(r"`([^`]+)`(?: except `([^`]+)`)?(?: (\d+) %)?")
SHARDS = re.compile(r"^(\S+): (\d+) .*?(\d+) of them (?:drawn|scored) now", re.M)
STEPS = re.compile(r"^(train_lora@\S+|mix@\S+): (.*)$", re.M)


def table() -> dict[str, tuple[str, str]]:
    """Change -> the stages that run, and those that do new work, as the page says it."""
    section = DOCS.read_text().split("### What a change costs")[1].split("\n#")[0]
    heading, *rows = ROW.findall(section)
    assert heading == ("change", "stages that run", "drawn, scored or trained anew")
    return {change: (stages, new) for change, stages, new in rows}


def expand(cell: str, stages: list[str]) -> dict[str, int]:
    """Stage -> percent, of a cell such as "`prompts`, `score@*` 5 %, `evaluate@*` except `evaluate@base`"."""
    if cell == "none":
        return {}
    found = {}
    for item in cell.split(", "):
        pattern, exception, percent = ITEM.fullmatch(item).groups()
        matched = [name for name in stages if fnmatch(name, pattern) and not fnmatch(name, exception or "")]
        assert matched, f"{item}: no stage is called so"
        found |= dict.fromkeys(matched, int(percent or 100))
    return found


def work_done(output: str) -> dict[str, int]:
    """Stage -> percent of its images or steps that were not in the work store, as the stages say."""
    made = {stage: round(100 * int(now) / int(total)) for stage, total, now in SHARDS.findall(output)}
    return made | {stage: 0 if "taken from the work store" in text else 100 for stage, text in STEPS.findall(output)}


def tailor(root: Path, aspects: tuple[str, ...]) -> None:
    """params.yaml for these aspects, and dvc.yaml as `make graph` writes it."""
    shutil.copy(fingerprint.ROOT / "params.yaml", root)
    settings = tiny_params(root)
    settings["prompts"]["train"] = train(20)
    settings["generate"]["prompts_per_shard"] = 10
    settings["mix"]["mixture"]["learning_rate"] = 0.01  # in two steps of a slow rate no gate is told from another
    without(set(settings["aspects"]) - set(aspects), settings)
    put(root, settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    """The project after a whole run."""
    root = copy_project(tmp_path_factory.mktemp("finished") / "versat2i", model_folder)
    tailor(root, ASPECTS)
    run(root, "dvc", "repro")
    return root


@pytest.fixture
def project(finished, tmp_path):
    """A copy of it with its cache and its work store, to change."""
    return shutil.copytree(finished, tmp_path / "versat2i", symlinks=True)


def replace(root: Path, module: str, old: str, new: str) -> None:
    path = root / "versat2i" / module
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def comment(root: Path, *modules: str) -> None:
    for module in modules:
        path = root / "versat2i" / module
        path.write_text(f"{path.read_text()}# as it was\n")


def upgrade(root: Path, package: str) -> None:
    """Another version of a package is installed, and `make lock` notes the versions."""
    found = environment.installed().get(package) or "1.0"
    folder = root / f"{package}-{found}.1.dist-info"  # found before the real one, which lies further down the path
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {found}.1\n")
    run(root, "python", "-m", "versat2i.settings.environment")


def compute(root: Path) -> None:
    settings = yaml.safe_load((root / "compute.yaml").read_text())
    (root / "compute.yaml").write_text(
        yaml.safe_dump(settings | {"device": "cpu", "engine": "processes", "workers": 2})
    )


def train(amount: int) -> list[dict]:
    return [{"grammar": amount, "held_out": 0.0, "seed": 1}]


CHANGES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda root: None,
    "one train prompt more, of 20": lambda root: edit(root, prompts__train=train(21)),
    "10 % more train prompts": lambda root: edit(root, prompts__train=train(22)),
    "K from 4 to 8: `generate.per_prompt`": lambda root: edit(root, generate__per_prompt=8),
    "`seed`": lambda root: edit(root, seed=1),
    "a threshold: `select.low_level`": lambda root: edit(root, select__low_level__threshold={"quantile": 0.95}),
    "an evaluator: `rewards.low_level`": lambda root: edit(root, rewards__low_level={"evaluator": "random"}),
    "a rank: `train_lora.low_level`": lambda root: edit(root, train_lora__low_level__rank=3),
    "the gates' alpha: `mix.mixture.balance`": lambda root: edit(root, mix__mixture__balance=0.5),
    "the aspect `geometry` added": lambda root: tailor(root, (*ASPECTS, "geometry")),
    "the aspect `aesthetic` removed": lambda root: tailor(root, ("low_level",)),
    "a comment in `versat2i/generate/painter.py`": lambda root: replace(
        root, "generate/painter.py", "class Painter:", "# as it was\nclass Painter:"
    ),
    "a comment in `versat2i/adapters/lora.py`": lambda root: replace(
        root, "adapters/lora.py", "import torch\n", "import torch  # tensors\n"
    ),
    "code in `versat2i/generate/painter.py`": lambda root: replace(
        root, "generate/painter.py", "stable_seed(self.seed, ", "stable_seed(self.seed + 1, "
    ),
    "a comment in an evaluator, `aesthetic/classical.py`": lambda root: replace(
        root, "rewards/aesthetic/classical.py", "import numpy as np\n", "import numpy as np  # arrays\n"
    ),
    "a comment in `versat2i/select/rule.py`": lambda root: comment(root, "select/rule.py"),
    "a comment in `versat2i/formats/tables.py`": lambda root: comment(root, "formats/tables.py"),
    "a comment in `versat2i/report/page.py`": lambda root: comment(root, "report/page.py"),
    "comments in `versat2i/tools/plan.py` and `versat2i/cli/sample.py`": lambda root: comment(
        root, "tools/plan.py", "cli/sample.py"
    ),
    "`make lock` with another torch": lambda root: upgrade(root, "torch"),
    "`make lock` with another pandas": lambda root: upgrade(root, "pandas"),
    "`compute.yaml`": compute,
}


def test_each_row_of_the_page_is_a_change_that_is_made_here():
    assert list(table()) == list(CHANGES)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_what_the_page_says_and_nothing_else(project, change):
    CHANGES[change](project)
    output = run(project, "dvc", "repro").stdout
    stages = run(project, "dvc", "stage", "list", "--name-only").stdout.split()
    says, new = (expand(cell, stages) for cell in table()[change])
    assert ran(output) == sorted(says)
    made = work_done(output)
    assert set(made) == {stage for stage in says if stage.startswith(STORED)}
    assert {stage: share for stage, share in made.items() if share} == new


def test_the_page_says_how_much_of_the_default_pool_ten_percent_more_prompts_draw():
    from versat2i.generate import plan  # torch, which the tests above leave to their stages

    settings = params.load(fingerprint.ROOT / "params.yaml")
    [source] = settings.prompts.train
    shape = (settings.generate.per_prompt, settings.generate.prompts_per_shard)
    amounts = (source.grammar, source.grammar * 11 // 10)
    before, after = (plan.plan({str(i): "" for i in range(amount)}, *shape) for amount in amounts)
    drawn = sum(len(shard.keys) for shard in after if shard not in before)
    total = sum(len(shard.keys) for shard in after)
    says = f"({amounts[0]} to {amounts[1]}) draw {drawn} of {total:,} images, {100 * drawn / total:.1f} %"
    assert says in " ".join(DOCS.read_text().split())
