"""Q-Instruct's scores of its own two images, as its authors print them, by its own weights.

It runs where the weights are. Make the environment of examples/mplug_owl2/README.md, download
q-future/q-instruct-mplug-owl2 and name both: VERSAT2I_MPLUG_OWL2=/opt/mplug_owl2:/models/q-instruct-mplug-owl2.
A GPU with 18 GB takes a minute or two.
"""

import os
import tomllib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from published import fetched

from versat2i import rewards
from versat2i.settings import compute, params
from versat2i.work import fingerprint

PLACES = "VERSAT2I_MPLUG_OWL2"  # the environment, a colon, the weights
PRINTED = {"q-instruct_sausage.jpg": 0.429931640625, "q-instruct_211.jpg": 0.204833984375}
SMALLEST = 2.0**-11  # between two numbers of float16 below 1/2, in which they were computed

pytestmark = pytest.mark.slow


@pytest.fixture
def scorer(tmp_path, monkeypatch):
    """The example's evaluator in its environment."""
    if PLACES not in os.environ:
        pytest.skip(f"{PLACES} does not name an environment with mplug_owl2 and the weights, as in this file's head")
    environment, weights = os.environ[PLACES].split(":")
    monkeypatch.chdir(tmp_path)
    example = tomllib.loads((fingerprint.ROOT / "examples/mplug_owl2/pyproject.toml").read_text())["project"]
    Path("owl.lock").write_text(f"{example['name']}=={example['version']}\n")
    chosen = params.Reward(evaluator="q_instruct", environment={"name": "owl", "lock": "owl.lock"}, model=weights)
    return rewards.from_params("low_level", chosen, compute.Compute(environments={"owl": environment}))


@pytest.mark.parametrize("name", PRINTED)
def test_the_scores_are_those_that_the_authors_print(scorer, name):
    """211.jpg is called examples_211.jpg where the score is printed; the repository has one file of that number."""
    image = np.asarray(PIL.Image.open(fetched(name)).convert("RGB"))
    (score,) = rewards.judged(scorer, image[None], [rewards.Prompt("a", "")])
    assert score == pytest.approx(PRINTED[name], abs=8 * SMALLEST)
