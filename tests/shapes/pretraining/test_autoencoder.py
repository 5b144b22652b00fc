"""Crops, scale, error and shapes of the autoencoder."""

import math

import numpy as np
import pytest
import torch
from small_world import CONFIG

from versat2i.shapes.pretraining import autoencoder


def test_crops_pick_the_contrast_and_begin_where_a_latent_does():
    """Flat images with two bright pixels: of the four places tried, one that shows most of them is taken."""
    images = np.zeros((200, 16, 16, 3), np.uint8)
    images[:, [2, 9], [2, 9]] = 255
    cropped = autoencoder.crops(images, 8, torch.Generator().manual_seed(0))
    assert cropped.shape == (200, 8, 8, 3)
    places = 4 * torch.randint(3, (200, 4, 2), generator=torch.Generator().manual_seed(0))
    shown = (places <= 2).all(-1).int() + ((places >= 2) & (places <= 9)).all(-1).int()  # a crop from y to y + 7
    most = shown.max(1).values
    assert set(most.tolist()) == {0, 1}
    assert ((cropped == 255).sum((1, 2, 3)) == 3 * most.numpy()).all()


def test_a_crop_of_the_whole_image_is_the_image(drawings):
    np.testing.assert_array_equal(autoencoder.crops(drawings, 64, torch.Generator().manual_seed(0)), drawings)


def test_pixels_go_to_minus_one_to_one():
    image = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    torch.testing.assert_close(autoencoder.to_tensor(image).flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_psnr_of_a_known_error(drawings):
    """An autoencoder that gives back zeros has the mean square of the pixels as its error."""

    class Gray(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def encode(self, images):
            return type("Encoded", (), {"latents": images})

        def decode(self, latents):
            return type("Decoded", (), {"sample": 0 * latents})

    pixels = drawings.astype(np.float64) / 127.5 - 1
    assert autoencoder.psnr(Gray(), drawings) == pytest.approx(10 * math.log10(4 / np.square(pixels).mean()), abs=1e-3)


def test_the_autoencoder_halves_the_image_twice(drawings):
    model = autoencoder.build(CONFIG["autoencoder"])
    found = autoencoder.encode(model, drawings, batch_size=4)
    assert found.shape == (6, 4, 16, 16) and found.dtype == torch.float16
    single = autoencoder.encode(model, drawings[4:5])
    torch.testing.assert_close(found[4:5], single, atol=2e-3, rtol=2e-3)
