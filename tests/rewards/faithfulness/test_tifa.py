"""Right answers about an image raise its score."""

import json
import random

import numpy as np
import pandas as pd
import pytest
from scored import scored

from versat2i import rewards
from versat2i.rewards.faithfulness import vqa
from versat2i.shapes.world import drawing
from versat2i.shapes.world.grammar import Description, Group
from versat2i.shapes.world.questions import questions as ask


@pytest.fixture(scope="module")
def tifa():
    return rewards.load("faithfulness", "tifa", vqa="shapes")


def score(reward, description, shown):
    """The score of an image of `shown` for the prompt that `description` is."""
    image = drawing.draw(shown, random.Random(0))
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": [""]})
    return scored(reward, image[None], prompts, pd.DataFrame(ask("p", description))).values[0]


def test_perfect_drawings_are_faithful(tifa, draw, prompts, questions):
    np.testing.assert_array_equal(scored(tifa, draw(), prompts, questions).values, 1.0)


@pytest.mark.parametrize("flaw", [{"noise": 8.0}, {"blur": 0.7}, {"fade": 0.5}, {"rotation": 14.0}])
def test_mild_flaws_leave_drawings_faithful(tifa, draw, prompts, questions, flaw):
    assert scored(tifa, draw(**flaw), prompts, questions).values.mean() > 0.97


def test_the_more_is_wrong_the_lower_the_score(tifa):
    said = Description((Group("red", "circle", 2),), background="white")
    wrong_count = Description((Group("red", "circle", 3),), background="white")
    wrong_color = Description((Group("blue", "circle", 3),), background="white")
    wrong_all = Description((Group("blue", "star", 3),), background="black")
    scores = [score(tifa, said, shown) for shown in (said, wrong_count, wrong_color, wrong_all)]
    assert scores[0] == 1.0
    assert (np.diff(scores) < 0).all()


def test_a_wrong_relation_costs_the_questions_about_it(tifa):
    groups = (Group("red", "circle"), Group("blue", "square"))
    said = Description(groups, "left of", "white")
    assert score(tifa, said, said) == 1.0
    assert score(tifa, said, Description(groups, "right of", "white")) < 1.0


def test_dsg_punishes_a_missing_thing_at_least_as_much(tifa):
    dsg = rewards.load("faithfulness", "dsg", vqa="shapes")
    said = Description((Group("red", "circle"), Group("blue", "square")), background="white")
    shown = Description((Group("red", "circle"),), background="white")
    assert score(dsg, said, shown) <= score(tifa, said, shown) < 1.0


def test_each_image_of_a_prompt_is_scored_by_itself(tifa, draw, prompts, questions):
    images = draw()
    twice = prompts.iloc[[0, 0]]
    right_and_wrong = np.stack([images[0], images[1]])
    values = scored(tifa, right_and_wrong, twice, questions).values
    assert values[0] == 1.0
    assert values[1] < 1.0


def test_the_details_hold_every_answer_and_are_json(tifa, draw, prompts, questions):
    details = scored(tifa, draw()[:1], prompts[:1], questions).details[0]
    answers = json.loads(json.dumps(details))["answers"]
    own = questions[questions["prompt_id"] == prompts["prompt_id"][0]]
    assert [answer["question_id"] for answer in answers] == list(own["question_id"])
    assert [answer["element_type"] for answer in answers] == list(own["element_type"])
    assert all(answer["correct"] and answer["answer"] == answer["expected"] for answer in answers)


def test_without_a_question_or_a_picture_it_abstains(tifa, draw, prompts, questions):
    images = draw()[:3]
    images[1] = 0
    some = questions[questions["prompt_id"] != prompts["prompt_id"][0]]
    found = scored(tifa, images, prompts[:3], some)
    assert found.reasons == ["no question for the prompt", "the image is blank", None]
    assert np.isnan(found.values).tolist() == [True, True, False]
    assert [details is None for details in found.details] == [True, True, False]


def test_it_abstains_on_everything_where_no_prompt_has_a_question(tifa, draw, prompts, questions):
    found = scored(tifa, draw()[:2], prompts[:2], questions[:0])
    assert found.reasons == ["no question for the prompt"] * 2


class Talker:
    """A VQA that says in its own words what each prompt of a circle is about."""

    licence = "none"
    free_form = True

    def answer(self, images, asked):
        return ["I think it is red" if "color" in question else None for question in asked["question"]]


def test_a_free_form_vqa_is_read_by_its_nearest_choice(monkeypatch, draw):
    monkeypatch.setitem(vqa.VQAS, "talker", f"{__name__}:Talker")
    row = {"prompt_id": "p", "parent_ids": [], "element_type": "color", "choices": ["red", "blue"]}
    questions = pd.DataFrame(
        [
            row | {"question_id": "1", "question": "What color is it?", "answer": "red"},
            row | {"question_id": "2", "question": "Is it there?", "answer": "red"},
        ]
    )
    reward = rewards.load("faithfulness", "tifa", vqa="talker")
    prompts = pd.DataFrame({"prompt_id": ["p"], "text": ["a red circle"]})
    assert scored(reward, draw()[:1], prompts, questions).values.tolist() == [0.5]
