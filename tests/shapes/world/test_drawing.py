import math
import random
from dataclasses import replace

import numpy as np
import pytest

from versat2i.shapes.world.drawing import (
    IMAGE_SIZE,
    OUTLINES,
    RADII,
    RGB,
    Placed,
    draw,
    outline,
    paint,
    place,
    related,
)
from versat2i.shapes.world.flaws import CAST, PERFECT, STAMP, STAMP_COLOR, WHOLE, Flaws
from versat2i.shapes.world.grammar import RELATIONS, SHAPES, Description, Group, sample

EVERY_FLAW = replace(WHOLE, noise=8.0)


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


OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


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


def test_a_bent_outline_is_always_bent_as_much():
    circle = np.hypot(*OUTLINES["circle"].T).mean()
    for seed in range(20):
        radii = np.hypot(*outline("circle", Flaws(bend=0.1), random.Random(seed)).T) / circle
        assert radii.std() == pytest.approx(0.1 / math.sqrt(2), rel=0.1)


def test_all_objects_are_turned_by_the_same_angle():
    turned, straight = (outline("square", Flaws(rotation=angle), random.Random(0)) for angle in (90.0, 0.0))
    assert np.allclose(np.sort(turned, axis=0), np.sort(straight, axis=0))


def test_scan_lines_are_lighter_and_darker_in_turn():
    image = paint([], "gray", random.Random(0), Flaws(lines=14.0)).astype(float) - 128
    assert np.array_equal(image, np.broadcast_to(image[:, :1, :1], image.shape))
    assert np.array_equal(image[:, 0, 0], np.tile([14, 0, 0, 0, -14, 0, 0, 0], 8))


def test_a_stamp_covers_a_corner_and_a_cast_the_background():
    stamped = paint([], "teal", random.Random(0), Flaws(stamp=1.0))
    assert np.all(stamped[STAMP] == STAMP_COLOR) and tuple(stamped[0, 0]) == RGB["teal"]
    tinted = paint([], "teal", random.Random(0), Flaws(cast=1.0))
    assert tuple(tinted[0, 0]) == tuple(np.add(RGB["teal"], CAST["teal"]))


def test_what_cannot_be_placed_is_an_error_that_says_so():
    crowd = Description(tuple(Group("red", shape, 4, "large") for shape in SHAPES))
    with pytest.raises(ValueError, match="no room"):
        place(crowd, random.Random(9))
