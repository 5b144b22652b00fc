"""The cosine of an image and its text is the one that the model itself gives."""

import numpy as np
import pytest
import torch
import transformers
from direct import TEXTS
from PIL import Image

from versat2i import rewards


def cosine(folder, image, text):
    """``logits_per_image / exp(logit_scale)`` of the model itself."""
    model, processor = (
        transformers.CLIPModel.from_pretrained(folder),
        transformers.CLIPProcessor.from_pretrained(folder),
    )
    inputs = processor(images=Image.fromarray(image), text=[text], return_tensors="pt")
    with torch.no_grad():
        return (model(**inputs).logits_per_image / model.logit_scale.exp()).item()


@pytest.mark.parametrize(
    "aspect, evaluator, prefix, value",
    [
        ("faithfulness", "clipscore", "A photo depicts ", lambda cosine: 2.5 * max(cosine, 0.0)),
        ("judges", "pickscore", "", lambda cosine: np.exp(2.6592) * cosine),  # the scale a CLIP starts with
        ("judges", "hpsv2", "", lambda cosine: cosine),
    ],
)
def test_a_clip_gives_the_cosine_of_an_image_and_its_own_text(
    folders, noises, captions, aspect, evaluator, prefix, value
):
    reward = rewards.load(aspect, evaluator, model=folders("clip"), batch_size=3)
    found = reward.score(noises, captions, None)
    for place in (0, 1, 2, 4):
        expected = value(cosine(folders("clip"), noises[place], prefix + TEXTS[place]))
        assert found.values[place] == pytest.approx(expected, abs=1e-4)
    assert found.reasons == [None, None, None, "the image is blank", None]
    assert np.ptp(found.values[[0, 1, 2, 4]]) > 0.01
    low, high = reward.range
    assert low <= np.nanmin(found.values) <= np.nanmax(found.values) <= high
