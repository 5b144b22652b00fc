"""The nearest of a folder's images tells how original an image is: a copy has 0."""

import random

import drawn
import numpy as np
import pytest
from PIL import Image
from scored import scored

from versat2i import rewards
from versat2i.formats import shards
from versat2i.rewards.common.base import weights_of
from versat2i.rewards.originality import nearest
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Group


def scene(x, color="red", ground="white"):
    return drawing.paint([drawing.Placed(Group(color, "circle"), x, 32.0, 9.0)], ground, random.Random(0))


@pytest.fixture
def reference(tmp_path):
    """A folder of two scenes."""
    (tmp_path / "below").mkdir()
    Image.fromarray(scene(44.0)).save(tmp_path / "right.png")
    Image.fromarray(scene(20.0, "blue", "black")).save(tmp_path / "below" / "blue.PNG")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def test_nearest_worked_out_by_hand():
    others = np.array([[1.0, 0.0], [0.0, 1.0]])
    distance, whose = nearest.nearest(np.array([[0.6, 0.8], [-1.0, 0.0], [1.0, 0.0]]), others)
    assert distance == pytest.approx([0.2, 1.0, 0.0]) and whose.tolist() == [1, 1, 0]


def test_the_mean_of_several_neighbours_worked_out_by_hand():
    others = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    distance, whose = nearest.nearest(np.array([[1.0, 0.0]]), others, 2)
    assert distance == pytest.approx([0.2]) and whose.tolist() == [0]  # 0 and 0.4


def test_a_copy_among_several_neighbours_is_no_copy_and_too_many_are_one_line(reference):
    def load(neighbours):
        options = {"embedder": "shapes", "reference": str(reference), "neighbours": neighbours}
        return rewards.load("originality", "nearest", **options)

    (one,), (two,) = (scored(load(amount), scene(44.0)[None]).values for amount in (1, 2))
    assert one == pytest.approx(0.0) and two > 0.1
    with pytest.raises(ValueError, match=r"holds 2 images, and `neighbours` asks for 3"):
        scored(load(3), scene(44.0)[None])
    with pytest.raises(ValueError, match="neighbours is 0, expected 1 or more"):
        load(0)


def test_originality_falls_as_a_scene_comes_near_one_of_the_reference(reference):
    reward = rewards.load("originality", "nearest", embedder="shapes", reference=str(reference), batch_size=2)
    images = np.stack([scene(x) for x in (20.0, 26.0, 32.0, 38.0, 44.0)])
    found = scored(reward, images)
    assert (np.diff(found.values) < 0).all() and found.values[-1] == pytest.approx(0.0)
    assert found.details[-1] == {"nearest": "right.png"}


def test_originality_falls_as_an_image_is_blended_into_a_copy(folders, noises, tmp_path):
    Image.fromarray(noises[0]).save(tmp_path / "a.png")
    reward = rewards.load("originality", "nearest", embedder=folders("clip"), reference=str(tmp_path))
    shares = (0.0, 0.5, 0.9, 1.0)
    blended = [(share * noises[0].astype(float) + (1 - share) * noises[1]).round().astype(np.uint8) for share in shares]
    found = scored(reward, np.stack(blended)).values
    assert (np.diff(found) < 0).all() and found[-1] == pytest.approx(0.0, abs=1e-6)


def test_a_selected_set_and_shards_are_references_too(tmp_path):
    candidates = [drawn.candidate("p0", 0), drawn.candidate("p1", 3)]
    shards.write(tmp_path / "selected/images/00000", candidates)
    for folder in ("selected", "selected/images"):
        reference = nearest.Reference(str(tmp_path / folder), 8)
        assert [name for name, _ in reference.named()] == ["p0.0", "p1.3"]


def test_other_images_are_another_reference(reference):
    before = nearest.Reference(str(reference), 8).identity
    Image.fromarray(scene(30.0)).save(reference / "right.png")
    assert nearest.Reference(str(reference), 8).identity != before
    chosen = rewards.load("originality", "nearest", embedder="shapes", reference=str(reference))
    (weights,) = weights_of(chosen)
    assert weights.identity == nearest.Reference(str(reference), 8).identity


@pytest.mark.parametrize(
    "content, problem", [(None, "no such folder"), ({}, "no image here"), ({"a.png": b"x"}, "no image that can")]
)
def test_a_reference_without_images_is_one_line(tmp_path, content, problem):
    folder = tmp_path / "reference"
    if content is not None:
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    reward = rewards.load("originality", "nearest", embedder="shapes", reference=str(folder))
    with pytest.raises(ValueError, match=problem):
        scored(reward, scene(32.0)[None])
