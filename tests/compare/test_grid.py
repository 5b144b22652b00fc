"""Variants side by side."""

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from versat2i.compare import grid
from versat2i.formats import shards, tables
from versat2i.work import places


def folder_of(path, shade, prompt_ids):
    image = np.full((8, 8, 3), shade, np.uint8)
    candidates = [shards.Candidate(prompt_id, 0, 0, image, torch.zeros(1, 2, 2)) for prompt_id in prompt_ids]
    shards.write(path / "00000-000", candidates)
    return path


def test_a_row_is_a_prompt_and_a_column_a_variant(tmp_path):
    folders = {
        name: folder_of(tmp_path / name, shade, ["a", "b"]) for name, shade in {"base": 10, "mixture": 99}.items()
    }
    columns = grid.evaluated(folders, {"a": "first", "b": "second"})
    sheet = np.asarray(grid.side_by_side(columns, ["first", "second"], scale=2))
    top = grid.TEXT_HEIGHT + grid.MARGIN
    for y in (top, top + 16 + grid.MARGIN):
        left, right = grid.MARGIN, 2 * grid.MARGIN + 16
        assert (sheet[y : y + 16, left : left + 16] == 10).all()
        assert (sheet[y : y + 16, right : right + 16] == 99).all()


def test_a_prompt_without_an_image_is_named(tmp_path):
    folders = {"base": folder_of(tmp_path / "base", 10, ["a"])}
    with pytest.raises(ValueError, match="base has no image of 'second'"):
        grid.evaluated(folders, {"a": "first", "b": "second"})


def test_each_image_is_saved_by_row_and_variant(tmp_path):
    columns = {"base": [np.full((4, 4, 3), 9, np.uint8)], "mixture": [np.full((4, 4, 3), 8, np.uint8)]}
    written = grid.save(columns, ["first"], tmp_path / "out")
    assert [path.name for path in written] == ["000-base.png", "000-mixture.png", "grid.png"]
    assert (np.asarray(Image.open(written[1])) == 8).all()


def test_a_grid_of_evaluated_variants_is_written_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prompts = pd.DataFrame([("p0", "a red circle", "test", "")], columns=tables.SCHEMAS["prompts"].names)
    tables.write("prompts", prompts, places.prompts("eval"))
    for variant in ("base", "mixture"):
        drawn.pool(places.evaluation(variant) / "images", {"p0": "a red circle"})
    for name in ("one.png", "two.png"):
        grid.show(["base", "mixture"], places.prompts("eval"), 3, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
