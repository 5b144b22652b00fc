"""`dvc exp run -S` changes the key that it names and no other: DVC's own writer on our params and presets."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from versat2i.settings import params, reader
from versat2i.work.fingerprint import ROOT

FILES = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHER = {int: 7, float: 0.0625, bool: True, str: "other", type(None): 5.0}


def leaves(content, place=()):
    """Place -> value of everything that is no mapping."""
    if not isinstance(content, dict):
        return {place: content}
    return {leaf: value for key, below in content.items() for leaf, value in leaves(below, (*place, key)).items()}


def of_aspects(path):
    """The places of all values of all aspects and merges in a file."""
    content = reader.parse(path.read_text())
    sections = ("rewards", "select", "train_lora", "mix")
    return [place for place in leaves(content) if place[0] in sections]


def spelt(value):
    """Another value of the same type, as it stands behind ``-S key=``."""
    if isinstance(value, list):
        return "[0.25,0.75]" if value and isinstance(value[0], float) else "[other]"
    return str(OTHER[type(value)]).lower()


@pytest.mark.parametrize(
    "path", [FILES[0], *(pytest.param(path, marks=pytest.mark.slow) for path in FILES[1:])], ids=lambda path: path.stem
)
def test_every_key_of_every_aspect_is_set_alone(path, tmp_path):
    before, copy = leaves(reader.parse(path.read_text())), tmp_path / "params.yaml"
    places = of_aspects(path)
    assert len(places) > 60
    for place in places:
        shutil.copy(path, copy)
        apply_overrides(copy, [f"{'.'.join(place)}={spelt(before[place])}"])
        after = leaves(reader.parse(copy.read_text()))
        assert after.keys() == before.keys()
        assert [key for key in before if after[key] != before[key]] == [place], place


def test_every_example_of_the_docs_changes_what_it_says(tmp_path):
    examples = [
        (page.name, found) for page in PAGES for found in re.findall(r"-S '?([\w.]+=[^\s`']+)", page.read_text())
    ]
    assert len(examples) >= 3
    for page, example in examples:
        shutil.copy(ROOT / "params.yaml", tmp_path)
        copy = tmp_path / "params.yaml"
        key, _, value = example.partition("=")
        apply_overrides(copy, [f"{key}={value.split(',')[0]}"])
        before, after = (leaves(reader.parse(file.read_text())) for file in (ROOT / "params.yaml", copy))
        assert [".".join(place) for place in before if after[place] != before[place]] == [key], (page, example)
        params.load(copy)


@pytest.mark.parametrize("number", ["0.00001", "1e-5", "0.000001", "1e-05", "2.5e-7"])
def test_a_small_number_is_read_back_however_it_is_spelt(tmp_path, number):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", [f"train_lora.geometry.learning_rate={number}"])
    assert params.load(tmp_path / "params.yaml").train_lora["geometry"].learning_rate == float(number)


def test_the_command_line_queues_the_readmes_own_example(tmp_path):
    """Queues only: nothing is computed."""
    for name in ("params.yaml", "dvc.yaml", "plugins.json", "environment.json"):
        shutil.copy(ROOT / name, tmp_path)
    dvc = str(Path(sys.executable).with_name("dvc"))
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (
        ("git", "init", "-q"),
        (dvc, "init", "-q"),
        ("git", "add", "-A"),
        (*git, "commit", "-qm", "start"),
        (dvc, "exp", "run", "--queue", "-S", "select.geometry.margin=0.02"),
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    stash = subprocess.run(
        ("git", "show", "refs/exps/celery/stash:params.yaml"), cwd=tmp_path, check=True, capture_output=True, text=True
    )
    before = leaves(reader.parse((ROOT / "params.yaml").read_text()))
    after = leaves(YAML(typ="safe").load(stash.stdout))
    assert {place: after[place] for place in before if after[place] != before[place]} == {
        ("select", "geometry", "margin"): 0.02
    }
