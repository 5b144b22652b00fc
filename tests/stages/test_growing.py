"""What a user adds takes an entry in params and `make graph`: each is done on a copy of the project and run."""

import json
import shutil

import pytest
from projects import copy_project, put, ran, run, tiny_params, without

from versat2i.work.fingerprint import ROOT

pytestmark = pytest.mark.slow

EVALUATOR = """
class Brightness:
    name, metric, licence = "brightness", "brightness", "Apache-2.0"
    higher_is_better, range = True, (0.0, 255.0)

    def score(self, images, prompts):
        return [image.mean() for image in images]
"""
POINT = "[versat2i.rewards]\n{}.brightness = {}:Brightness\n"


def smallest(root):
    """Params with one aspect, the mixture and two variants."""
    settings = tiny_params(root)
    without(set(settings["aspects"]) - {"aesthetic"}, settings)
    without({"uniform"}, settings)
    settings["rewards"] = {"aesthetic": settings["rewards"]["aesthetic"]}
    settings["evaluate"] |= {"variants": ["base", "mixture"], "judges": []}
    return settings


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    root = copy_project(tmp_path_factory.mktemp("growing") / "versat2i", model_folder)
    put(root, smallest(root))
    run(root, "dvc", "repro")
    return root


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "versat2i", symlinks=True)


def with_aspect(settings, name):
    """Three entries for a new aspect, after its name."""
    settings["aspects"].append(name)
    settings["rewards"][name] = {"evaluator": "brightness"}
    for section in ("select", "train_lora"):
        settings[section][name] = settings[section]["aesthetic"] | ({"guard": []} if section == "select" else {})
    settings["evaluate"]["variants"].append(name)
    return settings


def gains(root):
    return json.loads((root / "metrics/evaluate.json").read_text())


def test_an_aspect_is_a_folder_with_its_evaluator_and_three_entries(project):
    folder = project / "versat2i/rewards/brightness"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        'EVALUATORS = {"brightness": "versat2i.rewards.brightness.brightness:Brightness"}\n'
    )
    (folder / "brightness.py").write_text(EVALUATOR)
    put(project, with_aspect(smallest(project), "brightness"))
    output = run(project, "dvc", "repro").stdout
    started = ran(output)
    assert {"score@brightness", "select@brightness", "train_lora@brightness", "evaluate@brightness"} <= set(started)
    assert "generate" not in started and "train_lora@aesthetic" not in started
    assert "brightness" in gains(project)["mixture"] and "brightness" in gains(project)
    (folder / "brightness.py").write_text(EVALUATOR.replace("image.mean()", "image.max()"))
    again = run(project, "dvc", "repro", "score@brightness").stdout
    assert ran(again) == ["score@brightness"] and " 0 of them scored now" not in again


def test_a_package_brings_an_aspect_and_a_mended_one_scores_anew(project):
    (project / "my_plug.py").write_text(EVALUATOR)
    info = project / "my_plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINT.format("light", "my_plug"))
    put(project, with_aspect(smallest(project), "light"))
    refused = run(project, "dvc", "repro", "score@light", check=False)
    assert refused.returncode and "the code of plug-in my-plug is none there" in refused.stderr + refused.stdout
    run(project, "python", "-m", "versat2i.rewards.common.plugins")
    first = run(project, "dvc", "repro", "score@light").stdout
    assert "24 images by brightness (Apache-2.0), 24 of them scored now" in first
    assert ran(run(project, "dvc", "repro", "score@light").stdout) == []

    (project / "my_plug.py").write_text(EVALUATOR.replace("image.mean()", "image.max()"))
    stale = run(project, "python", "-m", "stages.score", "light", check=False)
    assert stale.returncode and "plugins.json: the code of plug-in my-plug is" in stale.stderr
    run(project, "python", "-m", "versat2i.rewards.common.plugins")
    second = run(project, "dvc", "repro", "score@light").stdout
    assert "24 of them scored now" in second
    aesthetic = run(project, "dvc", "repro", "score@aesthetic").stdout
    assert " 0 of them scored now" in aesthetic  # it starts, since plugins.json has changed, and takes its scores


def test_a_merge_is_one_entry_and_its_name(project):
    settings = smallest(project)
    settings["mix"]["both"] = {"kind": "ties"}
    settings["evaluate"]["variants"].append("both")
    put(project, settings)
    started = ran(run(project, "dvc", "repro").stdout)
    assert started == ["compare", "evaluate@both", "mix@both", "report"]
    assert "gain" in gains(project)["both"]["aesthetic"]


def test_a_base_model_is_one_entry_and_its_weights_are_followed(project):
    shutil.copytree(project / "versat2i/shapes/model", project / "models/mine")
    settings = smallest(project)
    settings["model"]["path"] = "models/mine"
    put(project, settings)
    assert "generate" in ran(run(project, "dvc", "repro", "generate").stdout)
    weights = project / "models/mine/unet/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    again = run(project, "dvc", "repro", "generate").stdout
    assert sorted(ran(again)) == ["generate", "prompts"]  # the latter counts what the text encoders cut
    assert " 0 of them drawn now" not in again


def test_a_preset_may_have_other_aspects_than_the_one_before(project):
    shutil.copy(ROOT / "params.yaml", project)
    settings = tiny_params(project)
    without({"aesthetic", "low_level", "faithfulness", "uniform"}, settings)
    put(project, settings)
    listed = run(project, "dvc", "stage", "list", "--name-only").stdout.split()
    assert "score@geometry" in listed and "score@aesthetic" not in listed and "evaluate@uniform" not in listed
