"""Thumbnails: small images as they are, large ones shrunk, the same bytes every time."""

import numpy as np
import pytest
from PIL import Image

from versat2i.report import thumbnails


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    "height, width, expected",
    [(64, 64, (64, 64)), (256, 256, (256, 256)), (1024, 512, (128, 256)), (100, 5000, (256, 5)), (1, 4000, (256, 1))],
)
def test_the_longer_side_is_at_most_the_limit(tmp_path, height, width, expected):
    thumbnails.write(noise(height, width), tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.size == thumbnails.size(height, width) == expected


def test_a_small_image_is_kept_pixel_by_pixel(tmp_path):
    image = noise(64, 48)
    thumbnails.write(image, tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as picture:
        assert np.array_equal(np.asarray(picture), image)


def test_the_same_image_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        thumbnails.write(noise(300, 400), tmp_path / name / "x.webp")
    assert (tmp_path / "a/x.webp").read_bytes() == (tmp_path / "b/x.webp").read_bytes()
