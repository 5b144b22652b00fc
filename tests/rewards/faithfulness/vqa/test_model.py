"""VQA models of transformers answer in their own words, which become the choices that they are or are nearest to."""

import numpy as np
import pandas as pd
import pytest
import tiny_vision
import torch
import transformers
from PIL import Image
from scored import scored

from versat2i import rewards
from versat2i.rewards.common.vlm import VICUNA_V1, VisionLanguage
from versat2i.rewards.faithfulness import vqa

LABELS = ["yes", "no", "red", "blue", "two"]
CHOICES = ["blue", "Red ", "no"]
QUESTIONS = ["What color is the circle?", "Is there a square?", "Is the image good?"]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def asked(choices=CHOICES):
    """Every question about every image but the last, which has one."""
    rows = [(image, question) for image in range(3) for question in QUESTIONS] + [(3, QUESTIONS[1])]
    table = pd.DataFrame(rows, columns=["image", "question"])
    return table.assign(choices=[choices] * len(table))


def alone(kind, folder):
    """``alone(kind, folder)(image, question)``: what the model says to one question about one image."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = getattr(transformers, kind).from_pretrained(folder)

    def ask(image, question):
        inputs = processor(images=Image.fromarray(image), text=question, return_tensors="pt")
        if kind == "ViltForQuestionAnswering":
            return LABELS[model(**inputs).logits.argmax().item()]
        said = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        return processor.tokenizer.decode(said[0], skip_special_tokens=True)

    return ask


@pytest.mark.parametrize("kind", ["ViltForQuestionAnswering", "BlipForQuestionAnswering"])
def test_every_question_is_answered_about_its_own_image(folder, images, kind):
    place = folder("vilt", LABELS) if kind.startswith("Vilt") else folder("blip")
    answerer = vqa.load(place, batch_size=2)
    table, ask = asked(), alone(kind, place)
    expected = [ask(images[i], question) for i, question in zip(table["image"], table["question"], strict=True)]
    assert len(set(expected)) > 1
    answers = answerer.answer(images, table.assign(choices=[[text] for text in expected]))
    assert [a or "" for a in answers] == expected
    assert answerer.answer(images, table) == [answerer.choice(text, CHOICES) for text in expected]


def test_a_vision_language_model_is_asked_for_a_short_answer(folder, images):
    place = folder("llava")
    processor = transformers.AutoProcessor.from_pretrained(place)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(place)
    question = f"{QUESTIONS[0]}\nAnswer the question using a single word or phrase."
    inputs = processor(
        images=Image.fromarray(images[1]), text=f"{VICUNA_V1} USER: <image> {question} ASSISTANT:", return_tensors="pt"
    )
    ids = inputs["input_ids"]
    for _ in range(16):  # greedy, by hand
        with torch.no_grad():
            step = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
            ids = torch.cat([ids, model(**step).logits[:, -1:].argmax(-1)], 1)
        if ids[0, -1] == tiny_vision.EOS:
            break
    said = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    table = pd.DataFrame({"image": [0, 1], "question": QUESTIONS[0], "choices": [["zero"], [said, "zero"]]})
    assert vqa.load(place).answer(images, table)[1] == said


def test_a_model_without_a_chat_template_is_asked_as_its_authors_ask(folder, images):
    place = folder("blip2")
    processor = transformers.AutoProcessor.from_pretrained(place)
    model = transformers.Blip2ForConditionalGeneration.from_pretrained(place)
    said = []
    for image in images[:3]:
        prompt = f"Question: {QUESTIONS[1]} Answer:"  # without the choices
        inputs = processor(images=Image.fromarray(image), text=prompt, return_tensors="pt")
        ids = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        said.append(processor.tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    table = pd.DataFrame({"image": range(3), "question": QUESTIONS[1], "choices": [[text, "zero"] for text in said]})
    assert vqa.load(place, choices=False).answer(images, table) == [text or None for text in said]


def test_an_answer_that_is_a_choice_is_that_choice(folder):
    answerer = vqa.load(folder("vilt", LABELS), embedder=folder("sentences"))
    assert answerer.choice("red", CHOICES) == "Red "
    assert answerer.choice(" NO", CHOICES) == "no"
    assert answerer.choice(" ", CHOICES) is None
    assert answerer.choice("red", []) is None


def test_without_an_embedder_the_nearest_choice_is_that_of_the_letters(folder):
    assert vqa.load(folder("vilt", LABELS)).choice("It is dark red.", CHOICES) == "Red "


def test_tifa_and_dsg_take_a_model_for_a_vqa(folder, images):
    place = folder("vilt", LABELS)
    table = asked()
    expected = pd.Series(vqa.load(place).answer(images, table))
    questions = pd.DataFrame(
        {
            "prompt_id": [f"p{i}" for i in table["image"]],
            "question_id": [str(i) for i in table.index],
            "question": table["question"],
            "choices": table["choices"],
            "answer": "no",
            "element_type": "object",
            "parent_ids": [[]] * len(table),
        }
    )
    prompts = pd.DataFrame({"prompt_id": [f"p{i}" for i in range(4)], "text": "a circle"})
    right = (expected == "no").groupby(table["image"]).mean().to_numpy()
    for evaluator in ("tifa", "dsg"):
        reward = rewards.load("faithfulness", evaluator, vqa=place, batch_size=3)
        np.testing.assert_allclose(scored(reward, images, prompts, questions).values, right)
        assert "weights as their model card says" in reward.licence


@pytest.mark.parametrize(
    "name, options, asked_as",
    [
        ("blip2", {}, "Answer the multiple-choice question. Question: {} Choices: blue, Red , no Answer:"),
        ("blip2", {"choices": False}, "Question: {} Answer:"),
        ("llava", {}, "{}\nAnswer the question using a single word or phrase."),
        ("llava", {"choices": True}, "{} Choices: blue, Red , no\nAnswer the question using a single word or phrase."),
    ],
)
def test_blip2_alone_is_told_the_choices_as_tifa_has_it_unless_params_say_otherwise(
    folder, images, monkeypatch, name, options, asked_as
):
    prompts = []
    prompt = VisionLanguage._prompt
    monkeypatch.setattr(VisionLanguage, "_prompt", lambda *a: prompts.append(prompt(*a)) or prompts[-1])
    vqa.load(folder(name), **options).answer(images, asked())
    assert len(prompts) == len(asked())
    for said, question in zip(
        prompts, asked()["question"].sort_values(key=lambda q: q.map(QUESTIONS.index)), strict=True
    ):
        expected = asked_as.format(question)
        assert said == expected if name == "blip2" else f"<image> {expected} ASSISTANT:" in said


def test_one_question_with_other_choices_is_asked_again(folder, images):
    table = pd.DataFrame({"image": [0, 0], "question": QUESTIONS[0], "choices": [["red", "blue"], ["blue", "red"]]})
    answerer = vqa.load(folder("blip2"))
    said = []
    answerer.__dict__["_ask"] = lambda shown, text: said.append(text) or ["red"] * len(shown)
    answerer.answer(images, table)
    assert said == [f"{QUESTIONS[0]} Choices: red, blue", f"{QUESTIONS[0]} Choices: blue, red"]
