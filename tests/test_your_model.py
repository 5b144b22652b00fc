"""docs/your_model.md does what it says: its commands run, in their order, in a copy of the project."""

import re
import shutil
import subprocess

import pytest
from projects import copy_project, environment

from versat2i.work.fingerprint import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/your_model.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
INSTALLS = "uv pip install --no-deps --no-build-isolation -e mine/evaluator"
# `make` would set up an environment, and pip install into the one that runs the tests
HERE = {
    INSTALLS: "",
    "make graph": "python -m versat2i.rewards.common.plugins && python -m stages.graph",
    "make repro": "python -m versat2i.tools.repro && python -m versat2i.tools.table",
    "make table": "python -m versat2i.tools.table",
    "versat2i check": "versat2i check || true",  # it ends with 1: brightness does not tell sharp from noisy
}


def here(block: str) -> str:
    """The commands of a block, those for the reader's environment replaced."""
    for shown, ours in HERE.items():
        block = re.sub(rf"^{re.escape(shown)}", lambda _, ours=ours: ours, block, flags=re.M)
    return block


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each block of commands printed."""
    root = copy_project(tmp_path_factory.mktemp("mine") / "versat2i", ROOT / "versat2i/shapes/model")
    points = root / "site" / "my_reward-0.1.0.dist-info"
    points.mkdir(parents=True)
    (points / "METADATA").write_text("Metadata-Version: 2.1\nName: my_reward\nVersion: 0.1.0\n")
    (points / "entry_points.txt").write_text("[versat2i.rewards]\naesthetic.brightness = my_reward:Brightness\n")
    paths = [str(root / "mine/evaluator"), str(root / "site")]
    around = environment(root, forked=False)
    around["PYTHONPATH"] = ":".join([around["PYTHONPATH"], *paths])
    found = []
    for block in BLOCKS:
        done = subprocess.run(["bash", "-e"], input=here(block), cwd=root, env=around, capture_output=True, text=True)
        assert not done.returncode, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        found.append(done.stdout)
    return found


def test_every_command_of_the_page_is_known_to_this_test():
    assert len(BLOCKS) == 5 and INSTALLS in "".join(BLOCKS)
    words = {
        line.split()[0]
        for block in BLOCKS
        for line in re.sub(r"<<'END'.*?^END$", "", block, flags=re.M | re.S).splitlines()
    }
    assert words == {"mkdir", "cat", "cp", "uv", "versat2i", "make"} and shutil.which("bash")


def test_the_evaluator_is_listed_and_the_table_has_its_column(said):
    assert "brightness" in said[1]
    lines = [line.split() for line in said[-1].splitlines() if line.strip()]
    assert lines[0] == ["variant", "brightness", "diversity", "low_level"]
    assert [line[0] for line in lines[1:6]] == ["base", "aesthetic", "low_level", "mixture", "uniform"]
