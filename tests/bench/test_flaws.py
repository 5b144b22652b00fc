import numpy as np
import pytest
import torch
from torch import nn

from bench.flaws import NAMES, levels, read, share, table
from versat2i.shapes.world.flaws import PERFECT, WHOLE


class Brightness(nn.Module):
    """Finds every flaw in every bright image."""

    def forward(self, images):
        return images.mean((1, 2, 3))[:, None].expand(-1, len(NAMES))


def images(*greys):
    return np.stack([np.full((64, 64, 3), grey, np.uint8) for grey in greys])


def test_levels_are_shares_of_the_whole_flaw():
    assert levels(PERFECT) == [0.0] * len(NAMES)
    assert levels(WHOLE) == [1.0] * len(NAMES)


@pytest.mark.parametrize("true", [0.0, 0.3, 1.0])
def test_a_share_is_corrected_for_misses_and_false_alarms(true):
    sensitivity, alarms = 0.9, 0.2
    assert share(true * sensitivity + (1 - true) * alarms, sensitivity, alarms) == pytest.approx(true)


def test_what_is_read_of_samples_stands_beside_what_scenes_have():
    known = np.repeat([[1.0], [1.0], [0.0], [0.0]], len(NAMES), axis=1)
    found = table(Brightness(), images(250, 250, 0, 0), known, images(250, 0, 0, 0))
    assert list(found.index) == list(NAMES)
    assert np.allclose(found[["scenes", "samples", "reader's accuracy"]], [0.5, 0.25, 1.0])


def test_reading_in_parts_gives_every_image_a_row():
    with torch.no_grad():
        assert read(Brightness(), images(*[250] * 300)).shape == (300, len(NAMES))
