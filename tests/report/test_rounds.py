"""The report's sheet of rounds shows each round's own images of the prompts that all have."""

from pathlib import Path

import drawn
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from versat2i.compare import grid
from versat2i.formats import tables
from versat2i.report import rounds
from versat2i.work import places


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    """Params of the third round, its evaluations, and what the first two have kept."""
    monkeypatch.chdir(tmp_path)
    settings = drawn.settings(model)
    for variant in ("first", "base", "mixture"):
        drawn.pool(places.evaluation(variant) / "images")
    started = settings.model.model_copy(update={"start": ("rounds/1", "rounds/2")})
    variants = ["first", "base", "mixture"]
    changed = {"model": started, "evaluate": settings.evaluate.model_copy(update={"variants": variants})}
    return settings.model_copy(update=changed)


def kept(number, colour, *prompts):
    folder = places.round_of(number) / rounds.SAMPLES
    folder.mkdir(parents=True)
    for prompt_id in prompts:
        Image.new("RGB", (64, 64), colour).save(folder / f"{prompt_id}.png")


def test_columns_are_the_first_base_each_earlier_round_and_this_one(run, monkeypatch):
    kept(1, "red", "p0", "p1", "p2")
    kept(2, "blue", "p1", "p2")
    seen = {}
    original = grid.side_by_side

    def noted(columns, labels):
        seen.update(c=columns, l=labels)
        return original(columns, labels)

    monkeypatch.setattr(grid, "side_by_side", noted)
    assert rounds.show(run, drawn.TEXTS, Path("out")) == "images/rounds.webp"
    assert Image.open("out/images/rounds.webp").size[0] > 4 * 64
    assert list(seen["c"]) == ["first", "round 0", "round 1", "round 2"]
    assert seen["l"] == [drawn.TEXTS["p1"], drawn.TEXTS["p2"]]
    assert (seen["c"]["round 0"][0] == (255, 0, 0)).all() and (seen["c"]["round 1"][1] == (0, 0, 255)).all()
    np.testing.assert_array_equal(seen["c"]["first"][0], drawn.candidate("p1", 0).image)


def test_without_rounds_or_shared_prompts_there_is_no_sheet(run):
    assert rounds.show(run, drawn.TEXTS, Path("out")) is None
    kept(1, "red", "p0")
    kept(2, "blue", "p1")
    assert rounds.show(run, drawn.TEXTS, Path("out")) is None
    assert not Path("out").exists()


def test_a_round_keeps_the_first_image_of_each_of_the_first_prompts_of_a_variant_that_was_evaluated(run):
    rows = [(prompt_id, text, "grammar", "x") for prompt_id, text in drawn.TEXTS.items()]
    prompts = pd.DataFrame(rows, columns=["prompt_id", "text", "source", "category"])
    tables.write("prompts", prompts, places.prompts("dev"))
    rounds.keep("mixture", "dev", Path("rounds/1"), 2)
    assert sorted(path.name for path in Path("rounds/1/samples").iterdir()) == ["p0.png", "p1.png"]
    with Image.open("rounds/1/samples/p1.png") as image:
        np.testing.assert_array_equal(np.asarray(image), drawn.candidate("p1", 0).image)
    rounds.keep("uniform", "dev", Path("rounds/2"), 2)
    assert not Path("rounds/2").exists()
