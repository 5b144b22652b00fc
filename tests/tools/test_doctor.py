"""The doctor finds what is wrong and says how to mend it."""

import drawn
import pytest
import yaml

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


def test_an_environment_of_a_reward_that_is_not_there_is_told(empty):
    settings = yaml.safe_load((fingerprint.ROOT / "params.yaml").read_text())
    settings["rewards"]["low_level"]["environment"] = {"name": "two", "lock": "two.lock"}
    (empty / "params.yaml").write_text(drawn.yaml_text(settings))
    assert by_name()["rewards"].advice.startswith("compute.yaml: environments has no 'two'")
    (empty / "two/bin").mkdir(parents=True)
    (empty / "two/bin/python").touch()
    (empty / "compute.yaml").write_text("environments: {two: two}\n")
    assert by_name()["rewards"] == doctor.Finding("rewards", f"two at {empty}/two/bin/python")


def test_in_this_clone_nothing_is_wrong_but_what_the_machine_lacks():
    wrong = {finding.what for finding in doctor.findings() if finding.advice}
    assert wrong <= {"memory", "disk", "model"}
