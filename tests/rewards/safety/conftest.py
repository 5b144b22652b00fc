"""Images that turn red, and a classifier that calls red unsafe."""

import numpy as np
import pytest
import tiny_vision


@pytest.fixture(scope="session")
def reddening():
    """From blue to red, ``uint8 [5, 16, 16, 3]``."""
    return np.stack([tiny_vision.of_red(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])


@pytest.fixture(scope="session")
def seer(tmp_path_factory):
    """``seer(problem)``: a folder of `tiny_vision.seer`."""
    root, made = tmp_path_factory.mktemp("seers"), {}

    def folder(problem=None):
        if problem not in made:
            made[problem] = tiny_vision.seer(root / str(problem), problem)
        return made[problem]

    return folder
