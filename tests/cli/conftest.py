"""A project of a tiny model."""

from pathlib import Path

import drawn
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path, monkeypatch, model_folder):
    """A folder with params of a tiny model."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["model"] |= {"path": str(model_folder), "mixed_precision": None}
    settings["evaluate"] |= {"steps": 1, "batch_size": 4}
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings))
    monkeypatch.chdir(tmp_path)
    return tmp_path
