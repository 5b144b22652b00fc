"""The example for mPLUG-Owl2 against a stand-in of the published package's interface, with random logits."""

import sys
import tomllib
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from scored import scored

from versat2i.rewards.common.registry import GROUP
from versat2i.rewards.low_level.q_instruct import QInstruct
from versat2i.work import fingerprint

EXAMPLE = fingerprint.ROOT / "examples/mplug_owl2"
WORDS = ["<s>", "good", "average", "poor", "high", "medium", "low", "fine", "acceptable", "bad"]
PROMPT = torch.tensor([0, 5, -200, 7])


class Model:
    """Logits that depend on the image, and are told apart from those of other places in the text."""

    def __init__(self):
        self.weights = torch.randn(3, len(WORDS), generator=torch.Generator().manual_seed(0), dtype=torch.double)

    def __call__(self, tokens, images):
        assert images.dtype == torch.float16 and tokens.tolist() == [PROMPT.tolist()] * len(images)
        logits = torch.full((len(images), len(PROMPT), len(WORDS)), torch.nan, dtype=torch.double)
        logits[:, -1] = images.double().mean((2, 3)) @ self.weights
        return {"logits": logits}


class Processor:
    def preprocess(self, pictures, return_tensors):
        pixels = torch.tensor(np.stack([np.asarray(picture) for picture in pictures]) / 64).permute(0, 3, 1, 2)
        return {"pixel_values": pixels}


def load_pretrained_model(path, base, name, device):
    assert (path, base, name, device) == ("a folder", None, "mplug_owl2", "cpu")
    return lambda word: SimpleNamespace(input_ids=[0, WORDS.index(word)]), Model(), Processor(), 2048


def tokenizer_image_token(prompt, tokenizer, index, return_tensors):
    assert prompt == "USER: <|image|>Rate the quality of the image.\nASSISTANT: " and index == -200
    return PROMPT


@pytest.fixture
def example(monkeypatch):
    parts = {
        "mplug_owl2": {},
        "mplug_owl2.constants": {"IMAGE_TOKEN_INDEX": -200},
        "mplug_owl2.mm_utils": {"tokenizer_image_token": tokenizer_image_token},
        "mplug_owl2.model": {},
        "mplug_owl2.model.builder": {"load_pretrained_model": load_pretrained_model},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(EXAMPLE)
    import mplug_owl2_reward

    yield mplug_owl2_reward.QInstruct
    del sys.modules["mplug_owl2_reward"]


@pytest.mark.parametrize("synonyms", [False, True])
def test_the_words_are_weighed_as_published(example, synonyms):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    found = scored(example("a folder", "cpu", batch_size=2, synonyms=synonyms), images)
    logits = torch.tensor(images / 64).half().double().mean((1, 2)) @ Model().weights
    for score, row in zip(found.values, logits.tolist(), strict=True):
        said = dict(zip(WORDS, row, strict=True))
        triplets = [("good", "high", "fine"), ("average", "medium", "acceptable"), ("poor", "low", "bad")]
        good, average, poor = (np.exp(np.mean([said[w] for w in t[: 3 if synonyms else 1]])) for t in triplets)
        assert score == pytest.approx((good + average / 2) / (good + average + poor))


def test_it_is_the_q_instruct_that_this_project_knows(example):
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    assert points == {"low_level.q_instruct": "mplug_owl2_reward:QInstruct"}
    for name in ("name", "metric", "higher_is_better", "range"):
        assert getattr(example, name) == getattr(QInstruct, name)
