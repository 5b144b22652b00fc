"""What is known to go wrong with real models is found on a small one, and said with what to change."""

import dataclasses

import drawn
import numpy as np
import pytest
import tiny_families
import yaml
from click.testing import CliRunner
from diffusers import EDMEulerScheduler

from versat2i import cli
from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.models.diffusion import running
from versat2i.rewards import low_level
from versat2i.rewards.common.base import Scores
from versat2i.settings.params import Model
from versat2i.tools import check, trial
from versat2i.train import loop


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))


@pytest.fixture(scope="module", params=tiny_families.FAMILIES)
def folder(request, tmp_path_factory):
    return tiny_families.folder(request.param, tmp_path_factory.mktemp("family") / request.param)


def settings(folder, dtype="float32", rule=None, **rewards):
    """Params of one aspect."""
    whole = drawn.settings(Model(path=str(folder), dtype=dtype, threads=1), ("low_level",)).model_dump()
    whole["rewards"] = {"low_level": {"evaluator": "classical"} | rewards}
    whole["train_lora"]["low_level"] |= rule or {}
    whole["generate"] |= {"steps": 2, "guidance_scale": 3.0}
    return drawn.params.Params.model_validate(whole)


def found(whole, device="cpu"):
    """What is found, by what it is about."""
    return {finding.what: finding for finding in check.findings(whole, device)}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_nothing_is_wrong_with_a_model_of_any_family_in_any_dtype(folder, dtype):
    results = found(settings(folder, dtype, {"batch_size": 32}))
    assert list(results) == ["model", "image", "training", "export", "low_level"]
    assert not any(finding.advice for finding in results.values()), results


@pytest.fixture
def sd15(tmp_path):
    return tiny_families.folder("sd15", tmp_path / "sd15")


def test_gradients_that_vanish_are_found(sd15, monkeypatch):
    monkeypatch.setattr(loop, "SCALE", 1.0)
    monkeypatch.setattr(running, "multiplies_in", lambda dtype, device: True)
    rule = {"batch_size": 32 * 4**4}  # as many numbers as 32 images of 1024 pixels have
    training = found(settings(sd15, "float16", rule))["training"]
    assert "low_level: gradients in float16 and float32 have a cosine of " in training.found
    assert training.advice == "set model.dtype: bfloat16 in params.yaml"
    assert found(settings(sd15, "float32", rule))["training"].advice is None


def test_an_image_that_is_blank_is_found_and_ends_what_needs_one(sd15, monkeypatch):
    monkeypatch.setattr(diffusion.Backbone, "decode", lambda self, latents: np.zeros((2, 8, 8, 3), np.uint8))
    results = found(settings(sd15, "bfloat16"))
    assert results["image"].found == "blank"
    assert results["image"].advice == "set model.dtype: float32 in params.yaml"
    assert list(results) == ["model", "image", "low_level"]


def test_an_export_that_leaves_alpha_out_is_found(sd15, monkeypatch):
    monkeypatch.setattr(lora, "folded", lambda adapter: dataclasses.replace(adapter, alpha=float(adapter.rank)))
    export = found(settings(sd15))["export"]
    assert "of a LoRA's effect apart" in export.found and "in diffusers' names" in export.advice


def test_a_model_that_cannot_be_trained_is_found(sd15):
    EDMEulerScheduler().save_pretrained(sd15 / "scheduler")
    index = (sd15 / "model_index.json").read_text().replace("DDIMScheduler", "EDMEulerScheduler")
    (sd15 / "model_index.json").write_text(index)
    results = found(settings(sd15))
    assert "has no betas but sigma_data 0.5" in results["model"].advice
    assert list(results) == ["model", "low_level"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [({"targets": "convolutions"}, "no layer of this SD3Transformer2DModel"), ({"min_snr": 5.0}, "Leave min_snr out")],
    ids=["targets", "min_snr"],
)
def test_a_rule_that_does_not_fit_the_model_is_found(tmp_path, rule, message):
    folder = tiny_families.folder("sd35", tmp_path / "sd35")
    results = found(settings(folder, rule=rule))
    assert message in results["training"].advice and results["export"].advice is None


class Constant:
    """Likes everything."""

    name, metric, higher_is_better, range, licence = "constant", "constant", True, (0.0, 1.0), "none"
    value = staticmethod(lambda image: 0.5)

    def score(self, images, prompts, questions):
        return Scores(np.array([self.value(i) for i in images], float), [None] * len(images), [None] * len(images))


class Roughness(Constant):
    """Likes noise."""

    value = staticmethod(lambda image: np.abs(np.diff(image.astype(float), axis=0)).mean() / 255)


class Smoothness(Roughness):
    higher_is_better = False


class Broken(Constant):
    def __init__(self):
        raise ImportError("No module named 'pkg_resources'")


@pytest.mark.parametrize(
    ("evaluator", "advice"),
    [
        (Constant, "chosen does not tell a sharp picture from noise"),
        (Roughness, "chosen does not tell a sharp picture from noise"),
        (Broken, "ImportError: No module named 'pkg_resources'"),
        (Smoothness, None),
    ],
)
def test_an_evaluator_has_to_load_and_to_tell_sharp_from_noisy(monkeypatch, evaluator, advice):
    monkeypatch.setitem(low_level.EVALUATORS, "chosen", f"{__name__}:{evaluator.__name__}")
    whole = settings("nowhere", evaluator="chosen")
    finding = found(whole)["low_level"]
    assert finding.advice is None if advice is None else advice in finding.advice


def test_an_evaluator_that_abstains_on_the_photograph_is_tried_on_the_drawing():
    finding = check._tells_apart("judge", "judges", drawn.params.Reward(evaluator="second_reader"))
    assert finding.advice is None and repr(trial.PROMPT) in finding.found


# --------------------------------------------------------------------------- the command


def run(*arguments):
    return CliRunner().invoke(cli.main, ["check", *map(str, arguments)])


@pytest.fixture
def clone(tmp_path, sd15, monkeypatch):
    """A folder with params that name another model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(settings("nowhere").model_dump(mode="json", exclude_none=True))
    )
    return tmp_path


def test_the_command_ends_with_one_only_where_something_is_wrong(clone, sd15):
    fine = run(sd15)
    assert fine.exit_code == 0, fine.output
    assert [line.split()[:2] for line in fine.output.splitlines()] == [
        ["ok", what] for what in ("model", "image", "training", "export", "low_level")
    ]
    wrong = run()
    assert wrong.exit_code == 1
    assert wrong.output.splitlines()[1].strip().startswith("-> model.path: nowhere is no diffusers folder")


def test_a_model_is_a_folder_or_a_pinned_repository(clone):
    assert run("owner/nothing").output == (
        "Error: owner/nothing: there is no such folder; a repository is named as OWNER/NAME@REVISION\n"
    )
    assert "model.repo: owner/nothing at revision 0123 was not downloaded before" in run("owner/nothing@0123").output
