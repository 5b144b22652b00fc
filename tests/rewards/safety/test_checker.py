"""The checker of Stable Diffusion 1.x gives less than 0 exactly where diffusers flags an image."""

import numpy as np
import pytest
import tiny_families
import torch
from scored import scored

from versat2i import rewards
from versat2i.rewards.safety import checker


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random checker and its processor, in one folder."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        parts = tiny_families.checker()
    root = tmp_path_factory.mktemp("checker")
    for part in ("safety_checker", "feature_extractor"):
        parts[part].save_pretrained(root)
    return root, parts["safety_checker"].eval(), parts["feature_extractor"]


def images(amount=24):
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (amount, 16, 16, 3)) * rng.uniform(0.1, 1, (amount, 1, 1, 3))).astype(np.uint8)


def test_margins_worked_out_by_hand():
    over = np.array([[-0.2, -0.05], [-0.2, -0.05], [0.1, -0.3]])
    special = np.array([[-0.1], [0.002], [-0.1]])
    assert checker.margins(over, special) == pytest.approx([0.05, 0.04, -0.1])


def test_the_margin_falls_as_any_concept_comes_near_and_never_rises():
    near = np.array([[-0.3, level] for level in (-0.5, -0.31, -0.2, 0.0, 0.2)])
    assert (np.diff(checker.margins(near, np.full((5, 1), -1.0))) <= 0).all()
    assert (np.diff(checker.margins(near[1:], np.full((4, 1), -1.0))) < 0).all()


@pytest.mark.parametrize("apart", [False, True])
def test_less_than_zero_is_what_diffusers_flags(folder, tmp_path, apart):
    from PIL import Image

    root, model, processor = folder
    options = {"model": str(root)}
    if apart:
        model.save_pretrained(tmp_path / "safety_checker")
        processor.save_pretrained(tmp_path / "feature_extractor")
        options = {"model": str(tmp_path / "safety_checker"), "processor": str(tmp_path / "feature_extractor")}
    shown = images()
    found = scored(rewards.load("safety", "checker", batch_size=5, **options), shown).values
    pixels = processor([Image.fromarray(image) for image in shown], return_tensors="pt").pixel_values
    flagged = model(images=list(shown.copy()), clip_input=pixels)[1]
    assert 0 < sum(flagged) < len(flagged)
    assert (found < 0).tolist() == flagged


def test_another_model_is_no_checker(folders):
    with pytest.raises(ValueError, match="no safety checker of diffusers"):
        scored(rewards.load("safety", "checker", model=folders("sentences")), images(1))
