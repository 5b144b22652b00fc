"""TIFA counts right answers; DSG closes what depends on a "no"."""

import numpy as np
import pandas as pd
import pytest

from versat2i.rewards.faithfulness import dsg_score, tifa_score


def table(*rows):
    """Answers from ``(prompt_id, question_id, parent_ids, expected, answer)``."""
    columns = ["prompt_id", "question_id", "parent_ids", "expected", "answer"]
    return pd.DataFrame(rows, columns=columns).assign(element_type="object")


def test_tifa_is_the_share_of_right_answers_of_each_prompt():
    answers = table(
        ("a", "1", [], "yes", "yes"),
        ("a", "2", ["1"], "red", "blue"),
        ("a", "3", ["1"], "2", None),
        ("a", "4", ["1"], "no", "No "),
        ("b", "1", [], "yes", "no"),
    )
    assert tifa_score(answers).to_dict() == {"a": 0.5, "b": 0.0}


def test_dsg_gives_nothing_for_a_question_whose_parent_was_answered_no():
    answers = table(("a", "1", [], "yes", "no"), ("a", "2", ["1"], "red", "red"), ("a", "3", [], "yes", "yes"))
    assert tifa_score(answers)["a"] == pytest.approx(2 / 3)
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)


def test_dsg_looks_at_direct_parents_only():
    answers = table(("a", "1", [], "yes", "no"), ("a", "2", ["1"], "yes", "yes"), ("a", "3", ["2"], "red", "red"))
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)  # 1 is wrong, 2 is closed by 1, 3 counts


def test_dsg_is_not_closed_by_a_parent_that_is_wrong_or_unknown():
    answers = table(("a", "1", [], "red", "blue"), ("a", "2", [], "yes", None), ("a", "3", ["1", "2"], "yes", "yes"))
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)


def test_dsg_takes_parents_from_the_same_prompt():
    answers = table(("a", "1", [], "yes", "no"), ("b", "1", [], "yes", "yes"), ("b", "2", ["1"], "yes", "yes"))
    assert dsg_score(answers).to_dict() == {"a": 0.0, "b": 1.0}


def test_dsg_never_exceeds_tifa_and_equals_it_without_parents():
    rng = np.random.default_rng(0)
    rows = [
        ("a", str(i), [str(j) for j in range(i) if rng.random() < 0.3], "yes", rng.choice(["yes", "no"]))
        for i in range(30)
    ]
    answers = table(*rows)
    assert dsg_score(answers)["a"] <= tifa_score(answers)["a"]
    alone = answers.assign(parent_ids=[[]] * len(answers))
    pd.testing.assert_series_equal(dsg_score(alone), tifa_score(alone))


def test_a_parent_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="question 2 of prompt a depends on 9"):
        dsg_score(table(("a", "2", ["9"], "yes", "yes")))
