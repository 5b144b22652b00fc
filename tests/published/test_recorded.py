"""What the authors' own code gave for made-up weights and inputs, at the commits named in `recorded.json`.

The numbers were written down once, by that code; ours has to come to them.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import published_hpsv3
import published_image_reward
import pytest
import tiny_vision
import tiny_words
import torch
import transformers
from made_up import filled, noise, weight
from torch import nn

from versat2i import rewards
from versat2i.rewards.aesthetic import laion
from versat2i.rewards.common.levels import quality
from versat2i.rewards.faithfulness import dsg_score
from versat2i.rewards.faithfulness.vqa.embedding import Embedder
from versat2i.rewards.geometry import pointnet
from versat2i.rewards.judges import image_reward
from versat2i.rewards.judges.preference import letterbox

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])  # mean, deviation


def test_laion_rates_as_the_authors_head(tmp_path):
    head = nn.ModuleDict()
    widths = (768, 1024, 128, 64, 16, 1)
    places = ("0", "2", "4", "6", "7")  # as dropout leaves them
    pairs = zip(places, widths[:-1], widths[1:], strict=True)
    head["layers"] = nn.ModuleDict({place: nn.Linear(into, out) for place, into, out in pairs})
    torch.save(filled(head, 2.0).state_dict(), tmp_path / "head.pth")
    embeddings = torch.tensor(noise(2, 4, 768) * np.array([[1], [10], [0.1], [3]]))
    found = laion.rate(embeddings, laion.read(tmp_path / "head.pth"))
    np.testing.assert_allclose(found, RECORDED["laion"], atol=5e-6)
    assert np.ptp(RECORDED["laion"]) > 0.1


def test_the_line_segment_classifier_gives_the_authors_logits():
    weights = {name: torch.tensor(weight(name, shape, 2.0)) for name, shape in pointnet.shapes().items()}
    segments = (noise(4, 3, 250, 4) + 1) * 128 * np.array([1, 0.5, 0.25])[:, None, None]
    found = pointnet.logits(torch.tensor(segments, dtype=torch.float32), pointnet.checked(weights))
    np.testing.assert_allclose(found, RECORDED["projective"], rtol=1e-3, atol=1e-4)
    assert np.ptp(RECORDED["projective"], axis=0).min() > 1e-2


@pytest.mark.parametrize(
    "name, turned, place", [("hpsv2_wide", False, np.s_[:, :, 3]), ("hpsv2_tall", True, np.s_[:, 5])]
)
def test_hpsv2_prepares_an_image_as_its_authors(name, turned, place):
    image = ((noise(5, 24, 40, 3) + 1) * 127.5).astype(np.uint8)
    image = image.transpose(1, 0, 2) if turned else image
    np.testing.assert_allclose(letterbox(image[None], 16, *CLIP)[0][place], RECORDED[name], atol=1e-5)


def clip(folder, activation):
    """A made-up CLIP in a folder; its text ends where the largest token stands."""
    size = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": activation}
    words = {"vocab_size": 24, "max_position_embeddings": 12, "bos_token_id": 22, "eos_token_id": 23}
    config = transformers.CLIPConfig(
        text_config=size | words | {"hidden_size": 16, "intermediate_size": 64},
        vision_config=size | {"hidden_size": 128, "intermediate_size": 512, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    filled(transformers.CLIPModel(config), 2.0).save_pretrained(folder)
    seen = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    transformers.CLIPProcessor(seen, tiny_words.ending_last()).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "aspect, evaluator, activation, recorded, apart",
    [
        ("faithfulness", "clipscore", "quick_gelu", "clipscore", 2e-4),  # openai's CLIP, as CLIPScore's authors take it
        ("judges", "pickscore", "quick_gelu", "clip_logits", 2e-4),  # the same CLIP's own logits
        ("judges", "hpsv2", "gelu", "hpsv2", 1e-5),  # open_clip's
    ],
)
def test_clips_score_as_the_authors_code(tmp_path, aspect, evaluator, activation, recorded, apart):
    """Of images that are not square; one text is cut.

    The first two resize by Pillow, transformers by torch, which rounds some pixels to the next grey level; the networks
    alone agree to the last bit.
    """
    reward = rewards.load(aspect, evaluator, model=clip(tmp_path, activation))
    texts = ["w3 w4 w5", "w7", " ".join(f"w{number}" for number in range(9, 22)), "w1 w2"]
    images = ((noise(10, 4, 24, 40, 3) + 1) * 127.5).astype(np.uint8)
    found = reward.score(images, [rewards.Prompt("p", text) for text in texts])
    np.testing.assert_allclose(found, RECORDED[recorded], atol=apart)
    assert np.ptp(RECORDED[recorded]) > 0.05


def test_image_reward_is_that_of_its_authors(tmp_path):
    """Of images that are not square, and texts that are filled up and cut.

    They resize by Pillow, we by torch, which rounds one pixel of a hundred to the next grey level.
    """
    drawn = published_image_reward.weights(*published_image_reward.parts())
    made_up = {name: torch.tensor(weight(name, tuple(value.shape), 2.0)).float() for name, value in drawn.items()}
    torch.save(made_up, tmp_path / image_reward.FILE)
    tiny_vision.tokenizer("[BOS] $A [EOS]").save_pretrained(tmp_path)
    reward = rewards.load("judges", "image_reward", model=str(tmp_path), tokenizer=str(tmp_path))
    texts = ["a red circle", "two blue square", " ".join(["a dark green circle or a red square"] * 6)]
    images = ((noise(9, 3, 24, 40, 3) + 1) * 127.5).astype(np.uint8)
    np.testing.assert_allclose(reward.rewards(images, texts), RECORDED["image_reward"], rtol=2e-4)
    assert np.ptp(RECORDED["image_reward"]) > 0.1


def test_hpsv3_rates_as_its_authors_package(tmp_path):
    """Of images that are enlarged and made smaller, and texts that are filled up; mu and log sigma."""
    folder = published_hpsv3.folder(tmp_path)
    rater = rewards.load("judges", "hpsv3", model=folder, base=folder, dtype="float32").model
    small, large = (
        ((noise(*shape) + 1) * 127.5).astype(np.uint8) for shape in ((11, 3, 24, 40, 3), (12, 2, 480, 640, 3))
    )
    long = "ein grüner Kreis " + "und noch einer " * 20
    found = [
        rater.ratings(small, ["a red circle", 'two blue squares on a {teal} table, "unquoted"', long]),
        rater.ratings(large, ["a cat", "a dog"]),
    ]
    np.testing.assert_allclose(torch.cat(found), RECORDED["hpsv3"], rtol=1e-4)
    assert np.ptp(RECORDED["hpsv3"], axis=0).min() > 0.1


ON_THE_HUB = (  # of llava-hf/llava-1.5-7b-hf, as it writes users' messages
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@pytest.mark.parametrize(
    "aspect, evaluator, template",
    [("faithfulness", "vqascore", "vicuna_v1"), ("low_level", "q_instruct", "llava_v1")],
)
def test_a_llava_is_asked_as_by_its_authors(tmp_path, aspect, evaluator, template):
    folder = tiny_vision.llava(tmp_path, template=ON_THE_HUB)
    reward = rewards.load(aspect, evaluator, model=folder)
    assert reward.model._prompt(*reward.asks("two")[:2]) == RECORDED["llava"][template]


@pytest.mark.parametrize("name, words", [("q_boost_images", 1), ("q_boost_synonyms", 3)])
def test_q_instruct_weighs_words_as_q_boost(name, words):
    logits = (noise(6, 5, 9) * 4).reshape(5, 3, 3)[:, :, :words]
    np.testing.assert_allclose(quality(logits, [1.0, 0.5, 0.0]), RECORDED[name], rtol=1e-8)


def test_dsg_scores_sixty_trees_as_its_authors():
    """Question q depends on some of those before it, or on "0"; its answer is "yes" in about 70 %."""
    said, hangs = noise(7, 60, 8), noise(8, 60, 8, 8)
    rows = [
        {
            "prompt_id": tree,
            "question_id": str(q + 1),
            "parent_ids": [str(p + 1) for p in range(q) if hangs[tree, q, p] > 0.5] or ["0"],
            "expected": "yes",
            "answer": "yes" if said[tree, q] > -0.4 else "no",
        }
        for tree in range(60)
        for q in range(8)
    ]
    assert dsg_score(pd.DataFrame(rows)).tolist() == RECORDED["dsg"]


def test_an_answer_becomes_the_choice_that_tifas_authors_take(tmp_path):
    place = tiny_vision.sentences(tmp_path)
    model = transformers.BertModel.from_pretrained(place, add_pooling_layer=False)
    filled(model, 3.0).save_pretrained(place)
    embedder = Embedder(place)
    choices = ["a red circle", "two", "blue square or green", "The quality is poor"]
    texts = ["a dark red circle", "good", "square", "Is there a photo?", "two blue", "poor average"]
    assert [choices.index(embedder.nearest(text, choices)) for text in texts] == RECORDED["tifa_choices"]
    np.testing.assert_allclose(embedder.embed(texts[:1])[0], RECORDED["tifa_embedding"], atol=1e-5)
