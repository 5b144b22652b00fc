"""Image files are scored by hand as the pipeline scores them."""

import numpy as np
import pytest
from PIL import Image
from scored import scored

from versat2i import rewards
from versat2i.settings.compute import CPU
from versat2i.settings.params import Reward
from versat2i.tools import judge

SHAPES = ("faithfulness", Reward(evaluator="tifa", vqa="shapes"))
QUALITY = ("low_level", Reward(evaluator="classical"))


@pytest.fixture
def picture(tmp_path):
    """A red square on white, 64x64."""
    image = np.full((64, 64, 3), 255, np.uint8)
    image[20:44, 20:44] = (220, 30, 30)
    Image.fromarray(image).save(tmp_path / "square.png")
    return tmp_path / "square.png"


def test_a_line_says_file_metric_and_score(picture):
    lines = list(judge.score_files([picture], "a red square on a white background", [SHAPES, QUALITY], CPU))
    assert lines[0] == f"{picture}  tifa  1.0000"
    reward = rewards.load("low_level", "classical")
    expected = scored(reward, judge.read(picture)[None]).values[0]
    assert lines[1] == f"{picture}  low_level  {expected:.4f}"


def test_a_wrong_picture_scores_less(picture):
    (line,) = judge.score_files([picture], "two blue circles on a white background", [SHAPES], CPU)
    assert 0 < float(line.split()[-1]) < 1  # the background is right


def test_outside_the_grammar_only_the_one_that_needs_questions_abstains(picture):
    lines = list(judge.score_files([picture], "a house by the sea", [SHAPES, QUALITY], CPU))
    assert "abstained: " in lines[0] and "abstained" not in lines[1]


def test_every_file_has_its_line_though_some_are_no_images(picture, tmp_path):
    text, missing = tmp_path / "text.png", tmp_path / "none.png"
    text.write_text("no image")
    lines = []
    with pytest.raises(ValueError, match="3 of 4 files are no readable images"):
        for line in judge.score_files([text, picture, missing, tmp_path], "a red square", [SHAPES, QUALITY], CPU):
            lines.append(line)
    assert [line.split(": ")[0] for line in lines[:1] + lines[2:4]] == [str(text), str(missing), str(tmp_path)]
    assert [line.split()[1] for line in (lines[1], lines[4])] == ["tifa", "low_level"] and len(lines) == 5


def test_what_was_done_to_a_picture_stands_beside_its_score(tmp_path):
    Image.new("RGBA", (8, 8), (200, 0, 0, 100)).save(tmp_path / "clear.png")
    (line,) = judge.score_files([tmp_path / "clear.png"], "a red square", [QUALITY], CPU)
    assert line.endswith("  (transparent pixels lie on white)")


def test_a_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"text.png: not a readable image"):
        judge.read(path)
