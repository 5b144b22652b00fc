"""The bench of PNG settings compares settings that keep every pixel, and the one that shards have is among them."""

import re

import numpy as np
from click.testing import CliRunner

from bench import png
from versat2i.formats import shards


def test_every_setting_is_a_row_with_time_and_size():
    result = CliRunner().invoke(png.main, ["--side", "32", "--photographs", "1", "--drawings", "2", "--repeats", "1"])
    assert result.exit_code == 0, result.output
    rows = [line.split("|")[1].strip() for line in result.output.splitlines()[2:]]
    assert rows == list(png.settings()) and rows[-1] == "shards"
    assert len(re.findall(r"\d ms, \S+ ms, \S+ kB", result.output)) == 2 * len(rows)


def test_shards_have_the_setting_that_the_bench_calls_all_filters_and_run_lengths():
    image = png.photograph(64, 0)
    assert shards.encoded(image) == png.settings()["OpenCV, level 1, all, rle"](image)


def test_what_is_like_a_photograph_uses_the_whole_range_and_has_neighbours_alike():
    image = png.photograph(256, 0).astype(float)
    assert image.min() < 20 and image.max() > 235
    assert np.abs(np.diff(image, axis=0)).mean() < image.std() / 4
