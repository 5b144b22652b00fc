"""Diversity is the distance of a prompt's images from one another."""

import dataclasses

import drawn
import numpy as np
import pytest

from versat2i.evaluate import diversity as diversities
from versat2i.formats import shards


def diversity(folder):
    table = diversities.of(folder)
    assert set(table["metric"]) == {"diversity"}
    return table.set_index(["prompt_id", "k"])


def test_diversity_of_equal_black_and_white_and_single_images(tmp_path):
    """Black and white are the full range apart, black and gray 51 a fifth of it."""
    folder = drawn.variant(tmp_path / "base", {"p0": [9, 9, 9], "p1": [0, 255, 51], "p2": [7]})
    table = diversity(folder)
    assert table.loc["p0", "score"].tolist() == [0, 0, 0]
    expected = [(1 + 0.2) / 2, (1 + 0.8) / 2, (0.2 + 0.8) / 2]
    assert table.loc["p1", "score"].tolist() == pytest.approx(expected)
    assert np.isnan(table.loc[("p2", 0), "score"])
    assert table.loc[("p2", 0), "abstained"] == "the only image of its prompt"
    assert table["abstained"].notna().sum() == 1


def test_candidates_of_a_prompt_are_compared_across_shards(tmp_path):
    folder = tmp_path / "base"
    for k, gray in enumerate((0, 255)):
        image = dataclasses.replace(drawn.candidate("p0", k), image=drawn.flat(gray))
        shards.write(folder / f"00000-00{k}", [image])
    assert diversity(folder)["score"].tolist() == [1, 1]
