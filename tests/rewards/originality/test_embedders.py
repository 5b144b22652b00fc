"""Vectors have length one; alike images have nearly the same."""

import random

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from versat2i.rewards.originality import embedders
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Group


def scene(x=32.0, y=32.0, color="red", shape="circle", ground="white"):
    return drawing.paint([drawing.Placed(Group(color, shape), x, y, 9.0)], ground, random.Random(0))


@pytest.fixture(scope="module")
def shapes():
    return embedders.load("shapes")


def cosines(embedder, images):
    vectors = embedder.embed(np.stack(images))
    assert np.linalg.norm(vectors, axis=-1) == pytest.approx(np.ones(len(images)))
    return vectors @ vectors[0]


def test_a_scene_is_like_itself_and_less_like_others_the_more_differs(shapes):
    images = [
        scene(),
        scene(color="blue"),
        scene(color="blue", shape="star"),
        scene(8.0, 8.0, color="blue", shape="star"),
        scene(8.0, 8.0, color="blue", shape="star", ground="black"),
    ]
    assert cosines(shapes, images) == pytest.approx([1.0, *sorted(cosines(shapes, images)[1:], reverse=True)])
    assert cosines(shapes, images)[-1] == 0.0


def test_likeness_falls_smoothly_with_the_distance(shapes):
    found = cosines(shapes, [scene(x=20.0 + step) for step in (0, 4, 8, 12, 16)])
    assert (np.diff(found) < 0).all() and (np.diff(found) > -0.5).all()


def test_what_cannot_be_read_has_a_vector_all_the_same(shapes):
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    assert np.isfinite(shapes.embed(noise)).all()


def test_clip_gives_its_image_embedding(folders, noises):
    folder = folders("clip")
    model, processor = (kind.from_pretrained(folder) for kind in (transformers.CLIPModel, transformers.CLIPProcessor))
    pixels = processor.image_processor([Image.fromarray(image) for image in noises], return_tensors="pt")
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.get_image_features(**pixels).pooler_output)
    found = embedders.load(folder).embed(noises)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_dino_gives_the_token_of_the_whole_image(tmp_path, noises):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
        model = transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()
    processor = transformers.BitImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    pixels = processor([Image.fromarray(image) for image in noises], return_tensors="pt")
    with torch.no_grad():
        whole = model(**pixels).last_hidden_state[:, 0]
    found = embedders.load(str(tmp_path)).embed(noises)
    np.testing.assert_allclose(found, torch.nn.functional.normalize(whole).numpy(), atol=1e-5)


def test_a_model_that_is_neither_here_nor_pinned_is_refused():
    with pytest.raises(ValueError, match="neither a folder nor"):
        embedders.load("dinov2")
