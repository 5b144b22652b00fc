"""The first scenes."""

import numpy as np
import pytest

from versat2i.shapes.pretraining import scenes


@pytest.fixture(scope="module")
def drawings():
    return np.stack([scenes.scene(0, index)[1] for index in range(6)])
