"""What many tests need: no network, and a tiny model."""

import os

import pytest

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", DVC_NO_ANALYTICS="1")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A random pipeline of the embedded model's class."""
    import tiny

    return tiny.pipeline_folder(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def model(model_folder):
    """That pipeline as params name it."""
    from versat2i.params import Model

    return Model(path=str(model_folder), dtype="float32", threads=1)
