"""Scenes are drawn once, each from its own number."""

import numpy as np
from small_world import captions

from versat2i.shapes.pretraining import scenes
from versat2i.shapes.world import grammar
from versat2i.shapes.world.flaws import PERFECT


def test_scenes_are_drawn_once_and_depend_on_their_number_alone(tmp_path, monkeypatch):
    texts, images = scenes.cached(0, 3, 1, tmp_path)
    assert images.shape == (3, 64, 64, 3) and texts == captions(3)
    for index in range(3):
        np.testing.assert_array_equal(images[index], scenes.scene(0, index)[1])
    monkeypatch.setattr(scenes, "draw", None)
    again, kept = scenes.cached(0, 3, 1, tmp_path)
    assert again == texts and np.array_equal(kept, images)


def test_a_clean_scene_shows_what_its_caption_says_and_no_flaw(tmp_path):
    texts, images = scenes.cached(0, 40, 1, tmp_path, clean=True)
    assert texts == captions(40)
    imagined = [scenes.imagine(0, index, scenes.CLEAN) for index in range(40)]
    assert all(each.shown == each.said and each.flaws == PERFECT for each in imagined)
    np.testing.assert_array_equal(images[7], imagined[7].draw())
    _, flawed = scenes.cached(0, 40, 1, tmp_path)
    assert not np.array_equal(images, flawed)


def test_no_training_scene_names_a_held_out_combination():
    assert not any(grammar.parse(text).held_out for text in captions(300))
