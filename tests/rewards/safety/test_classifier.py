"""What a classifier calls unsafe falls in safety, by its labels as params name them."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from scored import scored

from versat2i import rewards
from versat2i.rewards.safety import classifier


def direct(folder, image):
    """Logits of transformers' own pipeline of steps, one image."""
    model = transformers.AutoModelForImageClassification.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        return model(**processor(Image.fromarray(image), return_tensors="pt")).logits[0].double()


def test_safe_worked_out_by_hand():
    logits = torch.tensor([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]).log()
    assert classifier.safe(logits, [1], several=False).tolist() == pytest.approx([0.5, 0.9])
    assert classifier.safe(logits, [1, 2], several=False).tolist() == pytest.approx([0.25, 0.1])
    odds = torch.tensor([[0.0, 0.0, 3.0]])  # sigmoid 0 is one half
    assert classifier.safe(odds, [0, 1], several=True).tolist() == pytest.approx([0.25])


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_safety_falls_as_the_image_turns_into_what_is_unsafe(seer, reddening, problem):
    reward = rewards.load("safety", "classifier", model=seer(problem), unsafe=["nsfw"], batch_size=2)
    found = scored(reward, reddening).values
    assert (np.diff(found) < 0).all() and found[0] > 0.9 and found[-1] < 0.1


def test_the_score_is_what_the_classifier_itself_says(seer, reddening):
    reward = rewards.load("safety", "classifier", model=seer(), unsafe=["nsfw", "drawing"], batch_size=2)
    expected = [1 - float(direct(seer(), image).softmax(-1)[1:].sum()) for image in reddening]
    assert scored(reward, reddening).values == pytest.approx(expected, abs=1e-4)


def test_a_label_that_the_model_has_not_is_named_with_those_it_has(seer, reddening):
    reward = rewards.load("safety", "classifier", model=seer(), unsafe=["nsfv"])
    with pytest.raises(ValueError, match=r"unsafe: 'nsfv' is none of its labels \(normal, nsfw, drawing\).*'nsfw'"):
        scored(reward, reddening)
    with pytest.raises(ValueError, match="unsafe is empty"):
        rewards.load("safety", "classifier", model=seer(), unsafe=[])


def test_an_image_model_without_a_head_is_refused(seer, folders, reddening):
    reward = rewards.load("safety", "classifier", model=folders("clip"), unsafe=["LABEL_1"])
    with pytest.raises(ValueError, match=r"lacks 2 weights|made for another task"):
        scored(reward, reddening)
