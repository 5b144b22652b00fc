"""`versat2i score` prints a line an image and aspect."""

from commands import run
from PIL import Image


def test_score_prints_a_line_an_image_and_aspect(clone):
    Image.new("RGB", (64, 64), "white").save("white.png")
    result = run("score", "white.png", "--prompt", "a red circle on a white background", "--aspect", "faithfulness")
    assert result.exit_code == 0 and result.output.split()[:2] == ["white.png", "tifa"]


def test_score_needs_an_aspect_that_params_know(clone):
    Image.new("RGB", (64, 64), "white").save("white.png")
    result = run("score", "white.png", "--prompt", "a red circle", "--aspect", "geometri")
    assert result.exit_code == 1 and "Did you mean 'geometry'" in result.output
