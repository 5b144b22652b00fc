"""A VQA is found by name or by the place of its weights."""

import numpy as np
import pandas as pd
import pytest

from versat2i.rewards.faithfulness import vqa


def test_a_repository_without_a_revision_and_an_unknown_option_are_errors():
    with pytest.raises(ValueError, match="Pin the revision"):
        vqa.load("Salesforce/blip-vqa-base")
    with pytest.raises(ValueError, match=r"option 'embeder' does not exist\. Did you mean 'embedder'"):
        vqa.load("Salesforce/blip-vqa-base@787b3d3", embeder="x")


class Says:
    """A VQA that always says the same."""

    licence = "none"

    def __init__(self, free_form, *said):
        self.free_form, self.said = free_form, said

    def answer(self, images, asked):
        return list(self.said)


ASKED = pd.DataFrame({"image": 0, "question": "?", "choices": [["red", "blue"], ["yes", "no"], ["2", "3"]]})


def test_own_words_become_choices_and_what_cannot_be_told_stays_open():
    said = Says(True, "It is dark red.", None, "three of them")
    assert vqa.choose(said, np.zeros((1, 1, 1, 3), np.uint8), ASKED) == ["red", None, "3"]


def test_an_answerer_that_chooses_is_taken_at_its_word():
    said = Says(False, "blue", None, "2")
    assert vqa.choose(said, np.zeros((1, 1, 1, 3), np.uint8), ASKED) == ["blue", None, "2"]


def test_an_unknown_name_names_the_close_one():
    with pytest.raises(ValueError, match=r"'shape'.*Did you mean 'shapes'"):
        vqa.load("shape")
