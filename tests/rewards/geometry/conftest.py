"""A random network of the published shape."""

import pytest
from published_pointnet import network


@pytest.fixture(scope="module")
def net():
    return network()
