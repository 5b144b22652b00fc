"""Presets are whole params that the pipeline takes as they are, every model in them pinned."""

import re
import shutil
import subprocess

import pytest
import yaml

from versat2i import rewards
from versat2i.settings import params
from versat2i.tools import fetch
from versat2i.work import fingerprint, places

ROOT = fingerprint.ROOT
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
OWN = params.load(ROOT / "params.yaml")
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
COMMIT = re.compile(r"[0-9a-f]{40}")


@pytest.fixture(params=PRESETS, ids=lambda path: path.stem)
def settings(request):
    return params.load(request.param)


def test_the_presets_are_those_of_the_supported_models():
    assert [path.stem for path in PRESETS] == ["sd15", "sd21", "sd35-medium", "sdxl"]


def test_dvc_yaml_fits_as_it_is(settings):
    """Its lists of aspects and variants are written out."""
    assert settings.aspects == OWN.aspects and settings.mix.variants == OWN.mix.variants
    assert list(settings.evaluate.variants) == list(OWN.evaluate.variants)
    for variant, path in settings.evaluate.variants.items():
        assert path == (OWN.model.path if variant == "base" else str(places.adapter(variant)))
    compared = {f"data/evaluation/{variant}" for variant in settings.evaluate.variants}
    assert compared == {dep for dep in PIPELINE["compare"]["deps"] if dep.startswith("data/evaluation/")}


def test_every_key_that_a_stage_tracks_is_there(settings, request):
    """DVC reads the file itself, where a default does not stand."""
    written = yaml.safe_load((ROOT / "presets" / f"{request.node.callspec.id}.yaml").read_text())
    for stage in PIPELINE.values():
        body = stage.get("do", stage)
        for key in (entry for entry in body["params"] if isinstance(entry, str)):
            place = written
            for part in key.replace("${item.aspect}", settings.aspects[0]).split("."):
                assert part in place, key
                place = place[part]


def test_everything_of_a_hub_is_pinned_to_a_commit(settings):
    assert COMMIT.fullmatch(settings.model.revision)
    for need in fetch.needs(settings):  # makes every evaluator, without its weights
        repository, _, revision = need.key.partition("@")
        assert COMMIT.fullmatch(revision) or repository.startswith(("weights of pyiqa:", "weights of piqe")), need


def test_its_evaluators_and_judges_have_metrics_of_their_own(settings):
    chosen = [(aspect, settings.rewards[aspect]) for aspect in settings.aspects]
    chosen += [("judges", judge) for judge in settings.evaluate.judges]
    metrics = [rewards.from_params(aspect, evaluator).metric for aspect, evaluator in chosen]
    assert len(set(metrics)) == len(metrics) == 6


def test_only_the_model_that_has_a_checker_runs_it(settings):
    assert (settings.generate.safety == "drop") == (
        settings.model.repo == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    )


def preset(folder, name):
    return subprocess.run(["make", "preset", f"PRESET={name}"], cwd=folder, capture_output=True, text=True, check=False)


def test_make_puts_a_preset_in_place_and_overwrites_no_change(tmp_path):
    for name in ("Makefile", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm before"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    missing = preset(tmp_path, "sd9")
    assert missing.returncode and "PRESET is one of sd15 sd21 sd35-medium sdxl" in missing.stdout
    assert not preset(tmp_path, "sdxl").returncode
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "presets/sdxl.yaml").read_bytes()
    again = preset(tmp_path, "sd15")
    assert again.returncode and "params.yaml has changes that are not committed" in again.stdout
