"""Variants side by side."""

import warnings

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
    assert [path.name for path in sorted((tmp_path / "out").glob("*.png"))] == ["000-base.png", "000-mixture.png"]
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


def test_a_sheet_of_large_images_and_long_prompts_is_bounded_and_opens_again(tmp_path):
    columns = {f"v{number}": [np.full((1024, 1024, 3), 30 * number, np.uint8)] * 8 for number in range(7)}
    sheet = grid.side_by_side(columns, ["a photo of a bench and a clock " * 50] * 8)
    pitch = grid.LARGEST + grid.MARGIN
    assert sheet.size == (
        2 * grid.MARGIN + 7 * pitch + grid.LABEL_WIDTH,
        grid.TEXT_HEIGHT + grid.MARGIN + 8 * pitch,
    )
    sheet.save(tmp_path / "grid.png")
    with warnings.catch_warnings(action="error"), Image.open(tmp_path / "grid.png") as again:
        assert again.getpixel((grid.MARGIN + 6 * pitch + 5, grid.TEXT_HEIGHT + grid.MARGIN + 5)) == (180, 180, 180)


@pytest.mark.parametrize("rows, variants, side", [(20_000, 2, 64), (8, 300, 1024), (1, 1, 8000)])
def test_no_sheet_has_more_pixels_than_pillow_opens(rows, variants, side):
    image = np.zeros((side, side, 3), np.uint8)
    sheet = grid.side_by_side({f"v{number}": [image] * rows for number in range(variants)}, ["x"] * rows)
    assert sheet.width * sheet.height <= grid.MOST


def test_rows_that_do_not_fit_are_counted(monkeypatch):
    monkeypatch.setattr(grid, "MOST", 60_000)
    told = []
    monkeypatch.setattr(grid.lettering, "write", lambda pen, place, lines: told.extend(lines))
    grid.side_by_side({"v": [np.zeros((8, 8, 3), np.uint8)] * 50}, [str(number) for number in range(50)])
    shown = [line for line in told if line.isdecimal()]
    assert told[-1] == f"and {50 - len(shown)} more rows" and 3 < len(shown) < 50


def test_shrunk_images_are_averages_not_single_pixels():
    board = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    sheet = np.asarray(grid.side_by_side({"v": [np.dstack([board] * 3)]}, [""]))
    top = grid.TEXT_HEIGHT + grid.MARGIN
    assert set(sheet[top : top + 256, grid.MARGIN : grid.MARGIN + 256].ravel()) <= {127, 128}


def test_images_of_an_earlier_run_are_moved_aside_and_others_stay(tmp_path):
    image = [np.zeros((4, 4, 3), np.uint8)]
    assert grid.put_aside(tmp_path) is None
    for run in (1, 2):
        grid.save({"base": image * run}, ["x"] * run, tmp_path)
        (tmp_path / "mine.png").touch()
        moved = grid.put_aside(tmp_path)
        assert moved == tmp_path / "earlier" / str(run)
        assert len(list(moved.glob("*.png"))) == run and (moved / "sheets/grid.png").exists()
        assert [path.name for path in tmp_path.glob("*.png")] == ["mine.png"]
