"""HPSv3 asks as it was trained to be asked, and rates the state of one token; its numbers: tests/published/."""

import shutil

import numpy as np
import published_hpsv3
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scored import scored

from versat2i import rewards
from versat2i.rewards.common import hpsv3

SHORT = "{prompt} <|Reward|> END"  # the whole question is 3,000 tokens to a tokenizer of bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_hpsv3.folder(tmp_path_factory.mktemp("hpsv3"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(hpsv3, "QUESTION", SHORT)
    monkeypatch.setattr(hpsv3, "PIXELS", 4 * 28 * 28)


def images(amount=3):
    return np.random.default_rng(0).integers(0, 256, (amount, 24, 40, 3), dtype=np.uint8)


def load(model, base=None, **options):
    return rewards.load("judges", "hpsv3", model=str(model), base=str(base or model), dtype="float32", **options)


def ratings(reward, texts, amount=3):
    return reward.model.ratings(images(amount), texts).numpy()


def test_the_head_worked_out_by_hand():
    head = [
        (torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([0.0, 1.0])),  # (2, -1) with h = (2, 5), so (2, 0)
        (torch.tensor([[2.0, 7.0], [0.0, 1.0]]), torch.tensor([0.5, -1.0])),  # (4.5, -1): no relu behind the last
    ]
    assert hpsv3.rated(torch.tensor([[2.0, 5.0]]), head).tolist() == [[4.5, -1.0]]


@pytest.mark.parametrize(
    "height, width, expected",
    [(64, 64, (56, 56)), (24, 40, (56, 84)), (480, 640, (28, 56)), (28, 112, (28, 112))],  # of 4 * 28 * 28 pixels
)
def test_an_image_becomes_whole_patches_of_one_number_of_pixels(height, width, expected):
    found = hpsv3.resized(Image.new("RGB", (width, height)), 28)
    assert (found.height, found.width) == expected


def test_a_prompt_is_rated_the_same_alone_and_beside_longer_ones(folder):
    texts = ["a cat", "two dogs on a very long and very red sofa", "a {brace}"]
    together = ratings(load(folder), texts)
    for place, text in enumerate(texts):
        alone = load(folder).model.ratings(images()[place : place + 1], [text]).numpy()
        np.testing.assert_allclose(alone[0], together[place], rtol=1e-4)
    assert np.ptp(together[:, 0]) > 1e-3


def test_the_score_is_mu_and_sigma_stands_beside_it(folder):
    reward = load(folder, batch_size=2)
    found, (mu, log) = scored(reward, images()), ratings(reward, ["x"] * 3).T
    np.testing.assert_allclose(found.values, mu, rtol=1e-5)
    np.testing.assert_allclose([each["sigma"] for each in found.details], np.exp(log), rtol=1e-4)


def test_of_a_prompt_with_the_token_in_it_the_last_one_counts(folder):
    reward = load(folder)
    ids = reward.model.inputs(images(1), ["a <|Reward|> cat"])["input_ids"]
    assert (ids == reward.model._processor.tokenizer.convert_tokens_to_ids("<|Reward|>")).sum() == 2
    assert np.isfinite(ratings(reward, ["a <|Reward|> cat"], 1)).all()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("visual.blocks.0.norm1.weight", "visual.blocks.0.norm1.weight"),
        ("model.visual.blocks.0.norm1.weight", "visual.blocks.0.norm1.weight"),
        ("model.layers.0.mlp.up_proj.weight", "language_model.layers.0.mlp.up_proj.weight"),
        ("model.language_model.layers.0.mlp.up_proj.weight", "language_model.layers.0.mlp.up_proj.weight"),
    ],
)
def test_weights_are_known_by_the_names_of_any_version_of_transformers(name, expected):
    assert hpsv3._renamed(name) == expected


def test_it_says_what_it_loads_and_leaves_the_weights_of_its_base(folder):
    held, base = load(folder).weights
    assert not held.weightless and base.weightless
    assert rewards.load("aesthetic", "hpsv3", model=str(folder), base=str(folder)).weights[0].dtype == "bfloat16"


def _without(folder, to, change):
    shutil.copytree(folder, to)
    found = load_file(to / hpsv3.FILE)
    change(found)
    save_file(found, to / hpsv3.FILE)
    return to


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda found: found.pop("visual.merger.ln_q.bias"), "visual.merger.ln_q.bias is missing or unknown"),
        (lambda found: found.pop("model.embed_tokens.weight"), "embed_tokens.weight"),
        (lambda found: [found.pop(name) for name in list(found) if name.startswith("rm_head.")], "rm_head.0.weight"),
    ],
)
def test_a_file_of_other_weights_is_one_clear_line(folder, tmp_path, change, message):
    model = _without(folder, tmp_path / "model", change)
    with pytest.raises(ValueError) as error:
        ratings(load(model, folder), ["x"] * 3)
    told = str(error.value)
    assert "HPSv3.safetensors does not hold the weights of HPSv3" in told and message in told and "\n" not in told


def test_a_vocabulary_without_the_token_is_one_clear_line(folder, tmp_path):
    def cut(found):
        found["model.embed_tokens.weight"] = found["model.embed_tokens.weight"][:-1].clone()

    model = _without(folder, tmp_path / "model", cut)
    with pytest.raises(ValueError, match=r"has 263 tokens, and <\|Reward\|> is number 263 to the tokenizer of"):
        ratings(load(model, folder), ["x"] * 3)


def test_a_base_of_another_kind_and_a_missing_file_are_one_clear_line(folder, folders, tmp_path):
    with pytest.raises(ValueError, match="a clip, and HPSv3 is made of a qwen2_vl: name that as `base`"):
        ratings(load(folder, folders("clip")), ["x"] * 3)
    with pytest.raises(ValueError, match=r"HPSv3\.safetensors cannot be read as tensors"):
        ratings(load(tmp_path, folder), ["x"] * 3)


def test_a_transformers_without_qwen2_vl_is_one_clear_line(folder, monkeypatch):
    import transformers

    monkeypatch.setattr(transformers, "Qwen2VLModel", None)
    with pytest.raises(ValueError, match=r"transformers .* has no Qwen2VLModel; install 5\.0 or newer"):
        ratings(load(folder), ["x"] * 3)
