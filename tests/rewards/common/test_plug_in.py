"""The example of a package with an evaluator of its own: installed, found by name, used."""

import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.common.registry import GROUP
from versat2i.settings import params
from versat2i.work import fingerprint

EXAMPLE = fingerprint.ROOT / "examples/my_reward"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example as a wheel of it unpacks: built from a copy, without a network."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "copy")
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    sys.modules.pop("my_reward", None)


def test_the_example_scores_once_it_is_installed(installed):
    assert ("aesthetic", "brightness") in rewards.catalogue()
    reward = rewards.load("aesthetic", "brightness")
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :4] = 255
    prompts = pd.DataFrame({"prompt_id": ["a", "b"], "text": ["half", "black"]})
    scores = scored(reward, images, prompts)
    assert scores.values[0] == pytest.approx(0.5) and np.isnan(scores.values[1])


def test_params_may_name_it(installed):
    assert rewards.from_params("aesthetic", params.Reward(evaluator="brightness")).metric == "brightness"


def test_without_it_the_name_is_not_known():
    with pytest.raises(ValueError, match="evaluator 'brightness' does not exist"):
        rewards.load("aesthetic", "brightness")


def test_the_docs_show_the_same_files():
    page = (fingerprint.ROOT / "docs/rewards.md").read_text()
    assert f"```python\n{(EXAMPLE / 'my_reward.py').read_text()}```" in page
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    assert tomllib.loads(page.split("```toml\n")[1].split("```")[0])["project"]["entry-points"][GROUP] == points
