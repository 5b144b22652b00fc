"""The scores that TIFA's authors made of a VQA's answers, from those answers."""

import json

import pandas as pd
import pytest
from published import fetched

from versat2i.rewards.faithfulness import accuracy_by_type, tifa_score


@pytest.fixture(scope="module")
def result():
    """TIFA's own worked example: the answers of a VQA and the scores that TIFA made of them."""
    return json.loads(fetched("tifa_sample_evaluation_result.json").read_text())


@pytest.fixture(scope="module")
def answers(result):
    """Its answers as a table."""
    rows = [entry for questions in result["question_details"].values() for entry in questions.values()]
    frame = pd.DataFrame(rows).rename(columns={"id": "prompt_id", "answer": "expected"})
    return frame.assign(
        question_id=frame.index.astype(str), parent_ids=[[]] * len(frame), answer=frame["multiple_choice_vqa"]
    )


def test_tifa_scores_of_the_prompts_are_those_published(result, answers):
    assert tifa_score(answers).to_dict() == result["caption_scores"]


def test_tifa_mean_and_deviation_are_those_published(result, answers):
    scores = tifa_score(answers)
    assert scores.mean() == result["tifa_average"] == 0.8125
    assert scores.std() == result["tifa_stdev"] == 0.2651650429449553


def test_tifa_accuracies_by_type_are_those_published(result, answers):
    assert accuracy_by_type(answers).to_dict() == result["accuracy_by_type"]
