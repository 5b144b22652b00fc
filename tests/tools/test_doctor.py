"""The doctor finds what is wrong and says how to mend it."""

import subprocess
import sys
from contextlib import nullcontext

import drawn
import pytest
import yaml
from huggingface_hub import constants
from model_server import ModelServer

from versat2i.tools import doctor
from versat2i.work import fingerprint


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A folder that is no clone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_name():
    return {finding.what: finding for finding in doctor.findings()}


def test_outside_a_clone_each_missing_thing_has_advice(empty):
    found = by_name()
    assert "make lock" in found["versions"].advice and "params.yaml" in found["params"].advice
    assert "clone" in found["dvc"].advice
    assert found["python"].advice is None and found["compute"].advice is None


def test_little_room_is_told(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**30})())
    assert "versat2i work --prune" in by_name()["disk"].advice


def test_a_cluster_that_is_not_there_and_a_box_of_gpus_are_told(empty, monkeypatch):
    import torch

    (empty / "compute.yaml").write_text("{device: cpu, engine: ray, ray: {address: '127.0.0.1:9'}}")
    told = by_name()["cluster"].advice
    assert "127.0.0.1:9" in told or "make ray" in told
    (empty / "compute.yaml").write_text("engine: processes")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert by_name()["cluster"].found == "none: engine processes; a stage's shards go to 8 GPUs"


def test_what_a_stage_would_get_of_a_cluster_is_told(empty, monkeypatch):
    box = {"CPU": 32.0, "GPU": 8.0, "accelerator_type:H200": 1.0, "memory": 1e9}
    seen = [doctor.cluster.Seen("head", {"CPU": 4.0}), doctor.cluster.Seen("box", box)]
    monkeypatch.setattr(doctor.cluster, "connected", lambda _: nullcontext("head:6379"))
    monkeypatch.setattr(doctor.cluster, "nodes", lambda: seen)
    (empty / "compute.yaml").write_text("{engine: ray, ray: {address: 'head:6379', gpus: 0.5, cpus: 3}}")
    assert by_name()["cluster"].found == (
        "head:6379: head (4 CPU), box (32 CPU, 8 GPU, H200); a stage gets up to 10 workers of 3 CPU, 0.5 GPU, "
        "files are sent"
    )
    (empty / "compute.yaml").write_text("{engine: ray, ray: {address: 'head:6379', gpus: 9}}")
    assert "no node has 1 CPU, 9 GPU for a worker" in by_name()["cluster"].advice


def test_a_gpu_that_is_asked_for_and_not_there_is_told(empty):
    (empty / "compute.yaml").write_text("device: cuda:9\n")
    finding = by_name()["compute"]
    assert finding.advice is not None


def test_a_model_that_is_not_there_is_a_problem_with_its_remedy(empty):
    (empty / "params.yaml").write_text((fingerprint.ROOT / "params.yaml").read_text())
    finding = by_name()["model"]
    assert "versat2i/shapes/model/model_index.json: there is no such file" in finding.found
    assert "make model" in finding.advice
    (empty / "versat2i/shapes/model").mkdir(parents=True)
    (empty / "versat2i/shapes/model/model_index.json").write_text("{}")
    assert by_name()["model"].advice is None


def test_a_model_that_is_not_served_is_told(empty):
    settings = yaml.safe_load((fingerprint.ROOT / "params.yaml").read_text())
    settings["evaluate"]["judges"] = [{"evaluator": "vqascore", "model": "a/model", "server": "here"}]
    (empty / "params.yaml").write_text(drawn.yaml_text(settings))
    assert "compute.yaml: servers has no 'here'" in by_name()["rewards"].advice
    with ModelServer(lambda *_: "yes") as server:
        (empty / "compute.yaml").write_text(f'servers: {{here: {{url: "{server.url}"}}}}\n')
        assert by_name()["rewards"].found == "a/model at server 'here'" and by_name()["rewards"].advice is None


def test_an_environment_of_a_reward_that_is_not_there_is_told(empty):
    settings = yaml.safe_load((fingerprint.ROOT / "params.yaml").read_text())
    settings["rewards"]["low_level"]["environment"] = {"name": "two", "lock": "two.lock"}
    (empty / "params.yaml").write_text(drawn.yaml_text(settings))
    assert by_name()["rewards"].advice.startswith("compute.yaml: environments has no 'two'")
    (empty / "two/bin").mkdir(parents=True)
    (empty / "two/bin/python").touch()
    (empty / "compute.yaml").write_text("environments: {two: two}\n")
    assert by_name()["rewards"] == doctor.Finding("rewards", f"two at {empty}/two/bin/python")


@pytest.fixture
def of_the_hub(empty):
    (empty / "params.yaml").write_text((fingerprint.ROOT / "presets/sd15.yaml").read_text())
    return empty


RELOADED = """
import importlib, os, sys
from huggingface_hub import constants
for said in sys.argv[1:]:
    os.environ["HF_HUB_OFFLINE"] = said
    print(importlib.reload(constants).HF_HUB_OFFLINE)
"""


def test_the_hub_is_switched_off_where_its_own_library_takes_it_for_off(of_the_hub, monkeypatch):
    told = ("false", "0", "", "1", "true", "Yes", "on", "2")
    taken = subprocess.check_output([sys.executable, "-c", RELOADED, *told], text=True).split()
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        for said, off in zip(told, taken, strict=True):
            monkeypatch.setenv(name, said)
            assert doctor._hub().found.startswith("offline, " if off == "True" else "online, ")


@pytest.mark.parametrize("content, found", [("hf_secret", "with a token"), (None, "without a token")])
def test_a_token_is_found_where_the_hubs_library_looks_for_it_and_never_shown(of_the_hub, monkeypatch, content, found):
    if content:
        (of_the_hub / "token").write_text(content)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(of_the_hub / "token"))  # below HF_HOME, read when imported
    said = doctor._hub().found
    assert said.endswith(f", {found}") and "secret" not in said


def test_a_user_without_an_account_or_a_home_is_no_error_of_the_doctor(of_the_hub, monkeypatch):
    def nobody(*arguments):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(doctor.Path, "home", nobody)
    assert doctor._safely("hub", doctor._hub).advice is None
    assert doctor._safely("x", nobody).advice == "RuntimeError: Could not determine home directory."


def test_a_copy_without_gits_history_is_no_repository(empty, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(empty.parent))
    (empty / ".dvc").mkdir()
    (empty / ".dvc/config").touch()
    finding = doctor._dvc()
    assert finding.found.endswith("is not a git repository") and "git clone" in finding.advice


def test_in_this_clone_nothing_is_wrong_but_what_the_machine_lacks():
    wrong = {finding.what for finding in doctor.findings() if finding.advice}
    assert wrong <= {"memory", "disk", "model"}
