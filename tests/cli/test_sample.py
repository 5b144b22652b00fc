"""`versat2i sample` writes images, or says in one line what is wrong."""

import numpy as np
import pytest
from commands import run
from PIL import Image


def test_sample_writes_an_image_each_and_a_grid(clone):
    result = run("sample", "a red circle", "two blue stars", "--variant", "base", "--images", "2", "--out", "out")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (clone / "out").glob("*.png"))
    assert names == ["000-base.png", "001-base.png", "002-base.png", "003-base.png"]
    assert (clone / "out/sheets/grid.png").exists()
    images = [np.asarray(Image.open(clone / "out" / name)) for name in names[:4]]
    assert images[0].shape == (64, 64, 3) and not np.array_equal(images[0], images[1])
    again = run("sample", "a red circle", "--variant", "base", "--out", "out")
    assert again.output.startswith("moved an earlier run's images to out/earlier/1\n")
    assert [path.name for path in (clone / "out").glob("*.png")] == ["000-base.png"]


def test_a_prompt_whose_end_is_not_drawn_is_told(clone):
    long = " and ".join(["a red circle above a blue square"] * 4)
    result = run("sample", long, "a red circle", "--variant", "base", "--out", "out")
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "sample: 1 prompt is longer than the text encoder reads, its end is not drawn: 'a red circle"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a red dragon", "--variant", "base"), "'dragon' is not a word that this model knows"),
        (("a red circle", "--variant", "mixture"), "data/adapters/mixture"),
        (("a red circle", "--weight", "geometry"), "expected ASPECT=NUMBER"),
    ],
)
def test_sample_says_in_one_line_what_is_wrong(clone, arguments, message):
    result = run("sample", *arguments)
    assert result.exit_code == 1 and message in result.output and len(result.output.splitlines()) == 1
    assert not (clone / "samples").exists()
