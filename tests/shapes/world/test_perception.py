import numpy as np
import pytest
from placed import painted

from versat2i.shapes.world.drawing import PERFECT, RGB, Flaws
from versat2i.shapes.world.grammar import BACKGROUNDS, COLORS, SHAPES
from versat2i.shapes.world.perception import perceive


def mean_fit(flaws):
    """Over one large drawing of each shape."""
    scenes = [perceive(painted((f"red {shape}", 32, 32), radius=13.0, flaws=flaws)) for shape in SHAPES]
    return float(np.mean([scene.objects[0].fit for scene in scenes]))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_is_seen_where_and_as_large_as_it_is(shape):
    image = painted((f"red {shape}", 28.0, 35.0), background="navy", radius=11.0)
    (thing,) = perceive(image).objects
    assert (thing.shape, thing.color) == (shape, "red")
    assert (thing.x, thing.y) == pytest.approx((28, 35), abs=0.3)
    assert thing.mask.shape == (64, 64) and thing.mask.dtype == bool
    assert np.pi * thing.radius**2 == pytest.approx(thing.mask.sum(), rel=0.1)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_color_is_named_on_every_background(background):
    for fade in (0.0, 0.3):
        seen = [
            perceive(painted((f"{c} square", 32, 32), background=background, flaws=Flaws(fade=fade))) for c in COLORS
        ]
        assert [scene.objects[0].color for scene in seen] == list(COLORS)
        assert {scene.background for scene in seen} == {background}


def test_touching_objects_of_different_colors_are_two():
    image = painted(("orange square", 24, 32), ("red circle", 40.5, 32))
    assert {(thing.color, thing.shape) for thing in perceive(image).objects} == {
        ("orange", "square"),
        ("red", "circle"),
    }


def test_fit_falls_as_outlines_bend():
    fits = [mean_fit(Flaws(bend=bend)) for bend in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)]
    assert fits == sorted(fits, reverse=True)
    assert fits[0] > 0.98 and fits[2] < 0.96 and fits[-1] < 0.9


@pytest.mark.parametrize(
    "flaws", [Flaws(jitter=20), Flaws(fade=0.5), Flaws(noise=8), Flaws(blur=0.7), Flaws(rotation=12)]
)
def test_fit_minds_only_the_outline(flaws):
    assert mean_fit(flaws) == pytest.approx(mean_fit(PERFECT), abs=0.01)


def test_a_shape_that_is_none_of_the_known_has_no_name():
    image = painted()
    image[24:28, 12:52] = RGB["red"]
    image[24:50, 12:17] = RGB["red"]
    (thing,) = perceive(image).objects
    assert (thing.shape, thing.color) == (None, "red")


def test_a_color_that_is_none_of_the_palette_has_no_name():
    image = painted(("red circle", 32, 32))
    image[(image != image[0, 0]).any(axis=2)] = (110, 80, 10)
    assert perceive(image).objects[0].color is None


def test_specks_are_no_objects():
    image = painted(("red circle", 20, 20))
    image[50:53, 50:53] = RGB["blue"]
    assert len(perceive(image).objects) == 1


def test_a_drifting_background_is_no_object():
    image = painted(("red circle", 20, 20), background="gray")
    drift = np.linspace(-14, 14, 64)[None, :, None]
    assert len(perceive((image + drift).astype(np.uint8)).objects) == 1


def test_other_sizes_are_read_as_well():
    image = painted(("red circle", 20, 32), ("blue star", 46, 32)).repeat(4, axis=0).repeat(4, axis=1)
    assert [(thing.color, thing.shape) for thing in sorted(perceive(image).objects, key=lambda thing: thing.x)] == [
        ("red", "circle"),
        ("blue", "star"),
    ]


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_what_is_no_image_is_an_error_that_says_what_was_expected(image):
    with pytest.raises(ValueError, match="expected an image uint8"):
        perceive(image)
