"""The tiny pipeline, loaded, and a copy of it to spoil."""

import shutil

import pytest

from versat2i.models import diffusion
from versat2i.settings.params import Model


@pytest.fixture(scope="module")
def loaded(model_folder):
    return diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))


@pytest.fixture
def copied(model_folder, tmp_path):
    """A copy of the model to spoil."""
    return shutil.copytree(model_folder, tmp_path / "copied")


@pytest.fixture(scope="session")
def flow(tmp_path_factory):
    """The random pipeline of a family of flows, loaded; each is made once."""
    import tiny_flows

    folders = {}

    def load(name):
        if name not in folders:
            folders[name] = tiny_flows.folder(name, tmp_path_factory.mktemp("flow") / name)
        return diffusion.load(Model(path=str(folders[name]), dtype="float32", threads=1))

    return load
