"""LAION's aesthetic predictor on random weights, against its formula computed with transformers and torch alone."""

import hashlib

import numpy as np
import pytest
import tiny_vision
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from scored import scored
from torch import nn

from versat2i import rewards
from versat2i.rewards.aesthetic import laion

WIDTHS = (6, 1024, 128, 64, 16, 1)  # as published, but for the first: the random CLIP embeds in 6 numbers
PLACES = (0, 2, 4, 6, 7)  # as dropout leaves them


class Published(nn.Module):
    """The head under the names of its authors' file."""

    def __init__(self, widths=WIDTHS):
        super().__init__()
        linear = [nn.Linear(widths[i], widths[i + 1]) for i in range(5)]
        a, b, c, d, e = linear
        self.layers = nn.Sequential(a, nn.Dropout(0.2), b, nn.Dropout(0.2), c, nn.Dropout(0.1), d, e)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_vision.clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="module")
def head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Published().eval()


@pytest.fixture(scope="module")
def file(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / laion.FILE
    torch.save(head.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images():
    """Noise of four colours; the third is blank."""
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 256, (4, 24, 20, 3)) * rng.uniform(0.2, 1.0, (4, 1, 1, 3))).astype(np.uint8)
    noise[2] = 7
    return noise


def load(clip, file, **options):
    return rewards.load("aesthetic", "laion", model=clip, head=str(file), **options)


def test_the_rating_is_the_published_formula(clip, head, file, images):
    """``layers(e / |e|)``, one image at a time."""
    model, processor = transformers.CLIPModel.from_pretrained(clip), transformers.CLIPProcessor.from_pretrained(clip)
    found = scored(load(clip, file, batch_size=2), images)
    for place in (0, 1, 3):
        pixels = processor.image_processor(Image.fromarray(images[place]), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            embedding = model.visual_projection(model.vision_model(pixels).pooler_output)
            rating = head.layers(embedding / embedding.norm(dim=-1, keepdim=True)).item()
        assert found.values[place] == pytest.approx(rating, abs=5e-6)
    assert np.ptp(found.values[[0, 1, 3]]) > 1e-3
    assert found.reasons == [None, None, "the image is blank", None]


def test_the_head_may_be_safetensors(clip, head, file, images, tmp_path):
    save_file(head.state_dict(), tmp_path / "head.safetensors")
    values = [scored(load(clip, path), images).values for path in (file, tmp_path / "head.safetensors")]
    np.testing.assert_array_equal(*values)


def test_a_head_for_another_clip_is_one_clear_line(clip, images, tmp_path):
    torch.save(Published((768, *WIDTHS[1:])).state_dict(), tmp_path / "head.pth")
    with pytest.raises(ValueError, match=r"embeds images in 6 numbers, .*head\.pth takes 768") as error:
        scored(load(clip, tmp_path / "head.pth"), images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "weights, said",
    [
        ({"layers.0.weight": torch.zeros(1, 6)}, "layers.0.bias"),
        ({"layers.0.weight": torch.zeros(2, 6), "layers.0.bias": torch.zeros(2)}, "do not end in one number"),
        ({"head": torch.zeros(1)}, "list index out of range"),
        ({"layers.0.weight": print}, "Weights only load failed"),  # more than tensors
    ],
)
def test_a_file_of_other_weights_is_one_clear_line(clip, images, tmp_path, weights, said):
    torch.save(weights, tmp_path / "head.pth")
    with pytest.raises(ValueError) as error:
        scored(load(clip, tmp_path / "head.pth"), images)
    assert str(error.value).startswith(f"{tmp_path / 'head.pth'}: no head of the aesthetic predictor")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_another_head_is_another_identity(clip, file, tmp_path):
    torch.save(Published().state_dict(), tmp_path / "head.pth")
    authors = rewards.load("aesthetic", "laion", model=clip).head
    identities = {load(clip, file).head.identity, load(clip, tmp_path / "head.pth").head.identity, authors.identity}
    assert len(identities) == 3
    with pytest.raises(ValueError, match=r"none\.pth: there is no such head"):
        _ = load(clip, tmp_path / "none.pth").head.identity


def test_without_a_head_the_authors_file_is_downloaded_once_and_checked(clip, file, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    reward = rewards.load("aesthetic", "laion", model=clip)
    with pytest.raises(ValueError, match=r"cannot be downloaded \(the hub is switched off"):
        reward.head.fetch()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(laion, "SOURCE", file.parent.as_uri())
    monkeypatch.setattr(laion, "FILE", file.name.replace("+", "%2B"))  # as an address has it
    with pytest.raises(ValueError, match=r"invalid hash value"):
        reward.head.fetch()
    monkeypatch.setattr(laion, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    path = reward.head.fetch()
    assert path.read_bytes() == file.read_bytes()
    monkeypatch.setattr(laion, "SOURCE", "file:///nowhere")
    assert reward.head.fetch() == path


def test_an_own_head_is_not_fetched_and_the_authors_is(clip, file):
    assert not load(clip, file).head.remote
    authors = rewards.load("aesthetic", "laion", model=clip)
    assert authors.head.remote and authors.head.fetch and "Apache-2.0" in authors.licence
