"""Results are filed under the versions that made them, or not at all."""

import json

import pytest

from versat2i.settings import environment
from versat2i.work.fingerprint import ROOT


@pytest.fixture
def path(tmp_path):
    environment.write(tmp_path / "environment.json")
    return tmp_path / "environment.json"


def test_what_was_recorded_passes_the_check(path):
    environment.check(path)
    assert set(json.loads(path.read_text())) == set(environment.PACKAGES)


def test_recording_again_gives_the_same_bytes(path):
    before = path.read_bytes()
    environment.write(path)
    assert path.read_bytes() == before


def test_versions_are_public_ones(path):
    found = environment.installed()
    assert found["torch"] and not any("+" in version for version in found.values() if version)


@pytest.mark.parametrize("name, version", [("torch", "0.0.1"), ("numpy", None), ("not-a-package", "1.0")])
def test_another_version_is_named_with_the_one_that_is_installed(path, name, version):
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: version}))
    with pytest.raises(ValueError) as error:
        environment.check(path)
    installed = environment.installed().get(name)
    assert str(error.value).startswith(f"{path} says {name} {version}, installed is {installed}. ")
    assert "make lock" in str(error.value)


def test_a_missing_record_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"environment\.json: is missing\. `make lock` writes it"):
        environment.check(tmp_path / "environment.json")


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n{}", "3", '["torch"]', "null"])
def test_what_is_no_record_says_how_to_make_it(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=r"environment\.json: .*`make lock` writes it"):
        environment.check(path)


@pytest.mark.parametrize("name", environment.PACKAGES)
def test_a_version_is_the_same_for_every_python_that_is_supported(name):
    """Else environment.json, which has one, would refuse all Pythons but that which wrote it."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = [line.removesuffix("\\").strip() for line in lines if line.startswith(f"{name}==")]
    assert locked == [f"{name}=={json.loads((ROOT / 'environment.json').read_text())[name]}"]
