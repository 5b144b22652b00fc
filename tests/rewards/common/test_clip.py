"""The cosine of an image and its text is the one that the model itself gives."""

import numpy as np
import pytest
import torch
import transformers
from direct import TEXTS
from PIL import Image
from scored import scored

from versat2i import rewards


def cosine(folder, image, text, letterboxed=False):
    """``logits_per_image / exp(logit_scale)`` of the model itself."""
    model, processor = (
        transformers.CLIPModel.from_pretrained(folder),
        transformers.CLIPProcessor.from_pretrained(folder),
    )
    inputs = processor(images=Image.fromarray(image), text=[text], return_tensors="pt")
    if letterboxed:
        inputs["pixel_values"] = letterbox(image)
    with torch.no_grad():
        return (model(**inputs).logits_per_image / model.logit_scale.exp()).item()


def letterbox(image):
    """Longer side to 16 pixels, black around it, normalised as CLIP has it."""
    height, width = image.shape[:2]
    scale = 16 / max(height, width)
    inside = (round(height * scale), round(width * scale))
    pixels = torch.tensor(image / 255).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(pixels, inside, mode="bicubic", antialias=True)
    black = torch.zeros(1, 3, 16, 16)
    top, left = (16 - inside[0]) // 2, (16 - inside[1]) // 2
    black[:, :, top : top + inside[0], left : left + inside[1]] = small
    mean, deviation = torch.tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]]).view(
        2, 1, 3, 1, 1
    )
    return (black - mean) / deviation


def test_a_prompt_that_is_longer_than_it_reads_is_told_once(folders, captions, caplog):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    reward = rewards.load("judges", "hpsv2", model=folders("clip"))
    scored(reward, images, captions[:2])
    assert not caplog.records
    most = transformers.CLIPProcessor.from_pretrained(folders("clip")).tokenizer.model_max_length
    longer = captions[:2].assign(text=" ".join(["circle"] * most))
    scored(reward, images, longer)
    scored(reward, images, longer)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{folders('clip')} reads {most} tokens: of a longer prompt it judges the beginning alone")


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (33, 10), (20, 20), (16, 16)])
def test_hpsv2_sees_the_whole_of_an_image_that_is_not_square(folders, captions, shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    reward = rewards.load("judges", "hpsv2", model=folders("clip"))
    np.testing.assert_allclose(reward.clip.pixels(image[None]), letterbox(image), atol=1e-5)
    (found,) = scored(reward, image[None], captions[:1]).values
    assert found == pytest.approx(cosine(folders("clip"), image, TEXTS[0], letterboxed=True), abs=1e-4)


@pytest.mark.parametrize(
    "aspect, evaluator, prefix, value",
    [
        ("faithfulness", "clipscore", "A photo depicts ", lambda cosine: 2.5 * max(cosine, 0.0)),
        ("judges", "pickscore", "", lambda cosine: np.exp(2.6592) * cosine),  # the scale a CLIP starts with
    ],
)
def test_a_clip_gives_the_cosine_of_an_image_and_its_own_text(
    folders, noises, captions, aspect, evaluator, prefix, value
):
    reward = rewards.load(aspect, evaluator, model=folders("clip"), batch_size=3)
    found = scored(reward, noises, captions)
    for place in (0, 1, 2, 4):
        expected = value(cosine(folders("clip"), noises[place], prefix + TEXTS[place]))
        assert found.values[place] == pytest.approx(expected, abs=1e-4)
    assert found.reasons == [None, None, None, "the image is blank", None]
    assert np.ptp(found.values[[0, 1, 2, 4]]) > 0.01
    low, high = reward.range
    assert low <= np.nanmin(found.values) <= np.nanmax(found.values) <= high
