"""What a hub refuses is one line that says what to do: the real libraries against a hub on loopback."""

import json

import hub_server
import pytest
import tiny_families
from hub_server import REVISION, Hub

CASES = {
    "gated": ("owner/gated", REVISION),
    "missing": ("owner/missing", REVISION),
    "revision": ("owner/model", "f" * 40),
    "unknown": ("owner/flux", REVISION),
    "empty": ("owner/empty", REVISION),
    "broken": ("owner/broken", REVISION),
    "silent": ("owner/silent", REVISION),
    "whole": ("owner/model", REVISION),
}

COMPLAIN = """
import json, time
time.sleep = lambda seconds: None  # the libraries wait for long before they try again
from versat2i.models import diffusion
from versat2i.settings.params import Model
from versat2i.models.pretrained import weights as pretrained

def complaint(load):
    try:
        return type(load()).__name__
    except ValueError as error:
        return str(error)

said = {}
for name, (repo, revision) in json.loads(%r).items():
    model = Model(repo=repo, revision=revision, dtype="float32", threads=1)
    weights = pretrained.parse(f"{repo}@{revision}", "float32")
    said[name] = [complaint(lambda: diffusion.load(model)), complaint(lambda: weights.load("AutoTokenizer"))]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What loading a base model and a part of an evaluator from each repository says."""
    root = tmp_path_factory.mktemp("hub")
    model = tiny_families.folder("sd15", root / "model")
    (root / "flux").mkdir()
    (root / "flux/model_index.json").write_text(json.dumps({"_class_name": "AudioLDMPipeline"}))
    (root / "empty").mkdir()
    repos = {"owner/model": model, "owner/gated": model, "owner/flux": root / "flux", "owner/empty": root / "empty"}
    with Hub(repos, gated=("owner/gated",), broken=("owner/broken",), silent=("owner/silent",)) as hub:
        done = hub_server.run(COMPLAIN % json.dumps(CASES), hub.environment(root / "home"), root)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


EXPECTED = {
    "gated": (
        "owner/gated is gated: accept its licence on its page at the hub, then `hf auth login` or set HF_TOKEN to a "
        "token of that account"
    ),
    "missing": (
        "owner/missing is not at the hub, or is private: mend its name, or set HF_TOKEN to a token that may read it"
    ),
    "revision": f"owner/model has no revision {'f' * 40}: take a commit hash from the repository's page at the hub",
    "broken": "owner/broken: the hub answered 503: try again later, or check HF_TOKEN",
    "silent": (
        "owner/silent: the hub cannot be reached: check the network, HF_ENDPOINT and proxy. What was downloaded before "
        "(`make fetch`) is used without it"
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_refusal_of_the_hub_says_what_to_do(said, name):
    base, evaluator = said[name]
    assert base == f"model.repo: {EXPECTED[name]}"
    assert evaluator == EXPECTED[name]


def test_a_class_that_is_not_supported_is_named(said):
    assert said["unknown"][0].startswith("owner/flux: is a AudioLDMPipeline; supported are StableDiffusionPipeline, ")


def test_a_repository_without_a_pipeline_is_said_to_lack_a_file(said):
    assert said["empty"][0] == (
        f"model.repo: owner/empty at revision {REVISION} lacks a file that this kind of model has: is it the right "
        "model?"
    )


def test_a_repository_that_is_whole_is_loaded(said):
    assert said["whole"][0] == "StableDiffusion"
