import math
import random

import numpy as np
import pytest

from versat2i.shapes.world.drawing import (
    IMAGE_SIZE,
    PERFECT,
    RADII,
    RGB,
    Flaws,
    Placed,
    draw,
    paint,
    place,
    related,
    web_flaws,
)
from versat2i.shapes.world.grammar import OPPOSITE, RELATIONS, SHAPES, Description, Group, sample

EVERY_FLAW = Flaws(noise=8, blur=0.7, jitter=20, rotation=12, bend=0.1, fade=0.3)


def test_the_same_seed_draws_the_same_bytes():
    description = sample(random.Random(0))
    first, second = (draw(description, random.Random(1), EVERY_FLAW) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert np.array_equal(first, second)


def test_every_stated_relation_holds_between_all_members():
    rng = random.Random(2)
    for _ in range(150):
        description = sample(rng)
        if description.relation:
            placed = place(description, rng)
            first, second = ([p for p in placed if p.group == group] for group in description.groups)
            assert all(related(description.relation, a.x - b.x, a.y - b.y) for a in first for b in second)


def test_placed_objects_are_as_many_as_described_apart_and_inside():
    rng = random.Random(3)
    for _ in range(150):
        description = sample(rng)
        placed = place(description, rng)
        assert len(placed) == sum(group.count for group in description.groups)
        for index, a in enumerate(placed):
            assert a.radius <= min(a.x, a.y) and max(a.x, a.y) <= IMAGE_SIZE - a.radius
            assert all(math.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius for b in placed[:index])


def test_on_a_lattice_centres_are_its_points_and_a_size_has_one_radius():
    rng = random.Random(12)
    radii = set()
    for _ in range(100):
        placed = place(sample(rng), rng, lattice=8)
        assert all(p.x % 8 == 0 and p.y % 8 == 0 for p in placed)
        if len(placed) == 1:  # many may have to become smaller
            radii.add((placed[0].group.size, placed[0].radius))
    assert dict(radii) == {size: sum(RADII[size]) / 2 for size in RADII}
    assert len(radii) == len(RADII)


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_relation_excludes_every_other(relation):
    rng = random.Random(4)
    for _ in range(100):
        dx, dy = rng.uniform(-30, 30), rng.uniform(-30, 30)
        holding = [other for other in RELATIONS if related(other, dx, dy)]
        assert len(holding) == 1
        assert related(relation, dx, dy) == related(OPPOSITE[relation], -dx, -dy)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perfect_drawing_has_the_palette_inside_and_outside(shape):
    image = paint([Placed(Group("red", shape), 32, 32, 12)], "navy", random.Random(5))
    assert tuple(image[32, 32]) == RGB["red"]
    assert tuple(image[2, 2]) == RGB["navy"]


def test_fading_all_the_way_leaves_mid_gray():
    image = draw(Description((Group("red", "star"),)), random.Random(6), Flaws(fade=1.0))
    assert np.all(image == 128)


def test_noise_has_the_stated_standard_deviation():
    description = Description((Group("red", "circle"),), background="gray")
    clean, noisy = (draw(description, random.Random(7), flaws) for flaws in (PERFECT, Flaws(noise=10)))
    corner = np.s_[:8, :8]
    spread = float((noisy[corner].astype(float) - clean[corner]).std())
    assert spread == pytest.approx(10, rel=0.2)


def test_web_images_are_perfect_in_each_respect_about_half_of_the_time():
    rng = random.Random(8)
    flaws = [web_flaws(rng) for _ in range(600)]
    for respect in ("noise", "blur", "jitter", "rotation", "bend", "fade"):
        assert np.mean([getattr(each, respect) == 0 for each in flaws]) == pytest.approx(0.5, abs=0.08)


def test_what_cannot_be_placed_is_an_error_that_says_so():
    crowd = Description(tuple(Group("red", shape, 4, "large") for shape in SHAPES))
    with pytest.raises(ValueError, match="no room"):
        place(crowd, random.Random(9))
