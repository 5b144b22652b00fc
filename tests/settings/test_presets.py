"""Presets are whole params that the pipeline takes as they are, every model in them pinned."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from stages import graph
from versat2i import rewards
from versat2i.settings import params
from versat2i.settings.compute import CPU
from versat2i.tools import fetch
from versat2i.work import fingerprint

ROOT = fingerprint.ROOT
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
COMMIT = re.compile(r"[0-9a-f]{40}")


@pytest.fixture(params=PRESETS, ids=lambda path: path.stem)
def settings(request):
    return params.load(request.param)


def test_the_presets_are_those_of_the_supported_models():
    stable = ["sd15", "sd21", "sd35-medium", "sdxl"]
    assert [path.stem for path in PRESETS] == ["flux1-dev", "flux2-klein", "qwen-image", "sana", *stable, "z-image"]


def test_make_graph_writes_a_dvc_yaml_that_fits(settings, tmp_path):
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    graph.write(settings, tmp_path / "dvc.yaml")
    stages = yaml.safe_load((tmp_path / "dvc.yaml").read_text())["stages"]
    assert set(stages["evaluate"]["foreach"]) == set(settings.evaluate.variants)
    base = stages["evaluate"]["foreach"]["base"]
    assert base == "data/prompts/${evaluate.split}.parquet"  # of a model of the hub there is no file
    assert not any("shapes/model" in dep for name in ("generate", "train_lora") for dep in stages[name]["deps"])
    assert set(settings.prompts.train[0].model_dump(include={"file", "questions"}).values()) <= set(
        stages["prompts"]["deps"]
    )


def test_every_key_that_a_stage_tracks_is_there(settings, request):
    """DVC reads the file itself, where a default does not stand."""
    written = yaml.safe_load((ROOT / "presets" / f"{request.node.callspec.id}.yaml").read_text())
    for name, stage in PIPELINE.items():
        body = stage.get("do", stage)
        for key in (entry for entry in body["params"] if isinstance(entry, str)):
            item = "mixture" if name == "mix" else settings.aspects[0]
            place = written
            for part in key.replace("${item.aspect}", item).replace("${key}", item).split("."):
                assert part in place, key
                place = place[part]


def test_everything_of_a_hub_is_pinned_to_a_commit(settings):
    assert COMMIT.fullmatch(settings.model.revision)
    for need in fetch.needs(settings, CPU):  # makes every evaluator, without its weights
        repository, _, revision = need.key.partition("@")
        if repository.startswith("https://"):  # a file of a repository: its address has the commit
            assert COMMIT.search(repository), need
            continue
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
    for name in ("Makefile", "params.yaml", "dvc.yaml", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("presets", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "versat2i").symlink_to(ROOT / "versat2i")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm before"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    missing = preset(tmp_path, "sd9")
    assert (
        missing.returncode
        and "PRESET is one of flux1-dev flux2-klein qwen-image sana sd15 sd21 sd35-medium sdxl z-image"
        in missing.stdout
    )
    assert not preset(tmp_path, "sdxl").returncode
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "presets/sdxl.yaml").read_bytes()
    assert "base: data/prompts/${evaluate.split}.parquet" in (tmp_path / "dvc.yaml").read_text()
    again = preset(tmp_path, "sd15")
    assert again.returncode and "params.yaml has changes that are not committed" in again.stdout
