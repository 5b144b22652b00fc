"""GenEval by a detector: a random tiny one of the real classes, and one that finds what a test tells it."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from versat2i import rewards
from versat2i.prompts.geneval import COLORS as ASKED
from versat2i.rewards.faithfulness import detections, geneval
from versat2i.rewards.faithfulness.detections import Found


def question(number, text, kind, answer="yes", parents=()):
    row = {"question_id": str(number), "question": text, "element_type": kind, "answer": answer}
    return row | {"parent_ids": list(parents), "choices": ["yes", "no"]}


DOG = question(0, "Is there a dog?", "object")
RED_DOG = rewards.Prompt("p", "a red dog", [DOG, question(1, "What color is the dog?", "color", "red", ["0"])])
TWO_DOGS = rewards.Prompt(
    "p",
    "two dogs",
    [question(0, "Are there dogs?", "object"), question(1, "How many dogs are there?", "counting", "2", ["0"])],
)


class Told:
    """A detector that finds what it is told, by its threshold."""

    names = ("dog", "cat")
    weights = None

    def __init__(self, *found):
        self.found, self.thresholds = found, []

    def find(self, image, threshold):
        self.thresholds.append(threshold)
        return [thing for thing in self.found if thing.confidence >= threshold]


class Reads:
    """A CLIP that knows a colour by its pixels."""

    def cosines(self, images, texts):
        mean = images[0].reshape(-1, 3).mean(0)
        return np.array([float((" red " in text) == (mean[0] > mean[2])) for text in texts])


def dog(x, confidence=0.95):
    return Found("dog", (x, 0.0, x + 8.0, 8.0), confidence)


def judged(detector, prompt, image=None, **options):
    reward = rewards.load("faithfulness", "geneval", detector="a/detector@0123456", **options)
    reward.detector, reward.clip = detector, Reads() if options.get("clip") else None
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8) if image is None else image
    (found,) = rewards.judged(reward, image[None], [prompt])
    return found


def test_all_or_nothing_or_the_share_that_holds():
    assert judged(Told(dog(0), dog(8)), TWO_DOGS) == 1.0
    assert judged(Told(dog(0)), TWO_DOGS) == 0.0
    pair = rewards.Prompt("p", "x", [DOG, question(1, "Is there a cat?", "object")])
    assert judged(Told(dog(0)), pair) == 0.0 and judged(Told(dog(0)), pair, share=True) == 0.5
    assert judged(Told(dog(0)), pair).details == {"held": {"0 dog: 1": True, "1 cat: 1": False}}


def test_numbers_are_counted_at_a_higher_threshold_as_by_its_authors():
    detector = Told(dog(0), dog(8), dog(4, confidence=0.5))
    assert judged(detector, TWO_DOGS) == 1.0
    assert judged(detector, rewards.Prompt("p", "x", [DOG])) == 1.0
    assert detector.thresholds == [0.9, 0.3]


def test_a_colour_is_that_of_what_lies_within_the_box():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:, 0], image[:, :8, 2] = 200, 200  # blue on the left, red on the right
    assert judged(Told(dog(8)), RED_DOG, image, clip="a/clip@0123456") == 1.0
    assert judged(Told(dog(0)), RED_DOG, image, clip="a/clip@0123456") == 0.0
    assert judged(Told(dog(0)), RED_DOG, image) == geneval.NO_CLIP


def test_prompts_without_its_questions_and_unknown_classes_are_reasons_to_abstain():
    assert judged(Told(), rewards.Prompt("p", "x")) == "the prompt has no questions of GenEval"
    zebra = rewards.Prompt("p", "x", [question(0, "Is there a zebra?", "object")])
    assert judged(Told(), zebra) == "the detector knows no 'zebra'"


def test_its_colours_are_those_of_the_reader():
    assert detections.COLORS == ASKED


def test_a_random_detector_finds_what_transformers_finds(tmp_path):
    config = transformers.YolosConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[32, 32],
        patch_size=8, num_detection_tokens=6, id2label={0: "dog", 1: "cat"}, label2id={"dog": 0, "cat": 1},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.YolosForObjectDetection(config).eval()
    processor = transformers.YolosImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    with torch.no_grad():
        seen = model(**processor(Image.fromarray(image), return_tensors="pt"))
    (expected,) = processor.post_process_object_detection(seen, 0.1, target_sizes=[(20, 40)])
    found = geneval.Detector(str(tmp_path), "float32").find(image, 0.1)
    assert len(found) == len(expected["boxes"]) > 0
    assert [thing.confidence for thing in found] == pytest.approx(expected["scores"].tolist(), abs=1e-5)
    np.testing.assert_allclose([thing.box for thing in found], expected["boxes"].numpy(), atol=1e-3)
    reward = rewards.load("faithfulness", "geneval", detector=str(tmp_path), threshold=0.1)
    (verdict,) = rewards.judged(reward, image[None], [rewards.Prompt("p", "a dog", [DOG])])
    assert verdict == float(any(thing.name == "dog" for thing in found))
