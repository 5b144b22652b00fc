"""A VQA is found by name or by the place of its weights."""

import pytest

from versat2i.rewards.faithfulness import vqa


def test_a_repository_without_a_revision_and_an_unknown_option_are_errors():
    with pytest.raises(ValueError, match="Pin the revision"):
        vqa.load("Salesforce/blip-vqa-base")
    with pytest.raises(ValueError, match=r"option 'embeder' does not exist\. Did you mean 'embedder'"):
        vqa.load("Salesforce/blip-vqa-base@787b3d3", embeder="x")
