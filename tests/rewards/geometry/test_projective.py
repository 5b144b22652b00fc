"""The line-segment classifier, on random weights of the published shape, against layers of torch one by one."""

import numpy as np
import pytest
import torch
from published_pointnet import real
from safetensors.torch import save_file
from scored import scored

from versat2i import rewards
from versat2i.rewards.geometry import projective


@pytest.fixture(scope="module")
def checkpoint(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "Lines_combined.pt"
    torch.save(net.state_dict(), path)
    return path


def random_segments(count, seed):
    return np.random.default_rng(seed).uniform(0, 256, (count, 4))


def streaks(count, seed, size=256):
    """An image of so many thin bars."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), 200, np.uint8)
    for row in np.linspace(8, size - 12, count).astype(int):
        image[row : row + 3, 5 : rng.integers(size // 3, size - 5)] = 20
    return image


def load(path, **options):
    return rewards.load("geometry", "projective", checkpoint=str(path), **options)


def test_the_score_is_the_probability_of_a_photograph(net, checkpoint):
    sets = [random_segments(15, 0) / 10, random_segments(81, 1), random_segments(249, 2), random_segments(40, 3) / 3]
    values = load(checkpoint).probabilities(sets)
    np.testing.assert_allclose(values, [real(net, segments) for segments in sets], rtol=1e-4)
    assert np.ptp(values) > 0.01


def test_an_image_is_judged_by_its_segments_alone_and_in_batches(net, checkpoint):
    blank = np.zeros((256, 256, 3), np.uint8)
    images = np.stack([streaks(20, 0), streaks(3, 1), blank, streaks(30, 2), streaks(25, 3)])
    found = scored(load(checkpoint, batch_size=2), images)
    for place in (0, 3, 4):
        assert found.values[place] == pytest.approx(real(net, projective.seen(images[place])), rel=1e-4)
    assert found.reasons[2] == "the image is blank"
    assert found.reasons[1].endswith("line segments; fewer than 15 tell nothing of the perspective")
    assert np.isnan(found.values[[1, 2]]).all()


def test_an_image_of_another_size_is_seen_at_the_size_of_training():
    wide = np.full((512, 768, 3), 200, np.uint8)
    wide[:, 128:640] = streaks(20, 0, 512)
    np.testing.assert_array_equal(projective.square(wide), projective.square(wide[:, 128:640]))
    assert projective.square(wide).shape == (256, 256, 3)
    assert projective.seen(wide).max() <= 257


@pytest.mark.parametrize("replace, count, distinct", [(True, 400, 186), (True, 250, 158), (False, 400, 250)])
def test_of_too_many_segments_the_same_are_drawn_each_time(replace, count, distinct):
    """With replacement, as the authors do, ``n (1 - (1 - 1/n)^250)`` of n segments are seen, here give or take 15."""
    many = random_segments(count, 0)
    taken = projective.chosen(many, replace)
    assert taken.shape == (250, 4)
    np.testing.assert_array_equal(taken, projective.chosen(many.copy(), replace))
    assert {tuple(row) for row in taken} <= {tuple(row) for row in many}
    assert len(np.unique(taken, axis=0)) == (pytest.approx(distinct, abs=15) if replace else distinct)


def test_fewer_segments_are_all_shown():
    few = random_segments(249, 0)
    np.testing.assert_array_equal(projective.chosen(few), few)


def test_the_draw_is_an_option(net, checkpoint):
    image = np.full((256, 256, 3), 200, np.uint8)
    for row in range(4, 252, 16):
        for column in range(2, 240, 24):
            image[row : row + 6, column : column + 18] = 20  # a bar has two long sides
    assert len(projective.detect(image)) > 250
    for replace in (True, False):
        (value,) = scored(load(checkpoint, replace=replace), image[None]).values
        assert value == pytest.approx(real(net, projective.seen(image, replace)), rel=1e-4)


def test_safetensors_are_read_as_well(net, checkpoint, tmp_path):
    save_file(net.state_dict(), tmp_path / "lines.safetensors")
    sets = [random_segments(20, 0)]
    values = [load(path).probabilities(sets) for path in (tmp_path / "lines.safetensors", checkpoint)]
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_other_weights_are_another_identity(checkpoint, tmp_path):
    other = tmp_path / "other.pt"
    other.write_bytes(b"0")
    assert load(other).weights[0].identity != load(checkpoint).weights[0].identity
    with pytest.raises(ValueError, match=r"none\.pt: there is no such checkpoint"):
        _ = load(tmp_path / "none.pt").weights[0].identity


def broken(net, path, change):
    weights = net.state_dict()
    change(weights)
    torch.save(weights, path)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda weights: weights.pop("fc_3.bias"), "fc_3.bias is missing, expected [2]"),
        (lambda weights: weights.update({"fc_3.bias": torch.zeros(3)}), "fc_3.bias has the shape [3], expected [2]"),
        (lambda weights: weights.update({"harm": print}), "Weights only load failed"),  # more than tensors
    ],
)
def test_a_file_of_other_weights_is_one_clear_line(net, tmp_path, change, said):
    broken(net, tmp_path / "lines.pt", change)
    with pytest.raises(ValueError) as error:
        load(tmp_path / "lines.pt").probabilities([random_segments(20, 0)])
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'lines.pt'}: no weights of the line-segment classifier")


def test_a_file_that_is_damaged_is_one_clear_line(tmp_path):
    for name in ("lines.pt", "lines.safetensors"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(ValueError, match="no weights of the line-segment classifier"):
            load(tmp_path / name).probabilities([random_segments(20, 0)])


def test_it_is_computed_on_the_device_of_the_machine(checkpoint):
    """On `meta`, a device without numbers, everything runs up to where the scores are to be read."""
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        load(checkpoint, device="meta").probabilities([random_segments(20, 0)])
