"""TIFA counts right answers; DSG closes what depends on a wrong one."""

import csv
import random
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from published import published

from versat2i.prompts import files
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


def test_dsg_gives_nothing_for_a_question_whose_parent_was_answered_wrong():
    answers = table(("a", "1", [], "yes", "no"), ("a", "2", ["1"], "red", "red"), ("a", "3", [], "yes", "yes"))
    assert tifa_score(answers)["a"] == pytest.approx(2 / 3)
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)


def test_dsg_looks_at_direct_parents_only():
    answers = table(("a", "1", [], "yes", "no"), ("a", "2", ["1"], "yes", "yes"), ("a", "3", ["2"], "red", "red"))
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)  # 1 is wrong, 2 is closed by 1, 3 counts


@pytest.mark.parametrize("expected, answer", [("yes", "no"), ("red", "blue"), ("yes", "a cat"), ("yes", None)])
def test_dsg_is_closed_by_a_parent_that_is_not_right_whatever_it_says(expected, answer):
    answers = table(("a", "1", [], expected, answer), ("a", "2", ["1"], "yes", "yes"), ("a", "3", [], "yes", "yes"))
    assert dsg_score(answers)["a"] == pytest.approx(1 / 3)


def test_dsg_is_not_closed_by_a_no_that_is_right():
    answers = table(("a", "1", [], "no", "No"), ("a", "2", ["1"], "yes", "yes"))
    assert dsg_score(answers)["a"] == 1.0


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


def test_parents_that_are_no_question_of_the_prompt_close_nothing_and_are_counted():
    """In the answers that DSG's authors released, a dependency may be a word; "0" says that there is none."""
    answers = table(
        ("a", "1", ["0"], "yes", "no"), ("a", "2", ["9"], "yes", "yes"), ("a", "3", ["wooden", "1"], "yes", "yes"),
        ("b", "2", ["1"], "yes", "yes"),
    )  # fmt: skip
    scores = dsg_score(answers)
    assert scores.to_dict() == {"a": pytest.approx(1 / 3), "b": 1.0}
    assert scores.attrs["unknown_parents"] == 3


def test_a_question_may_be_called_0():
    scores = dsg_score(table(("a", "0", [], "yes", "no"), ("a", "1", ["0"], "yes", "yes")))
    assert scores["a"] == 0.0 and scores.attrs["unknown_parents"] == 0


# An image of "a red star on a blue square" and one of its parts at a time:
#   1 is there a star?        2 is it red?        <- 1
#   3 is there a square?      4 is it blue?       <- 3
#   5 is the star on the square?                  <- 1, 3
#   6 is the red of the star dark?                <- 2      (asked of the colour, not of the star)
TREE = {"1": [], "2": ["1"], "3": [], "4": ["3"], "5": ["1", "3"], "6": ["2"]}


def answered(tree, said, prompt_id="p"):
    """Answers to the questions of a tree to all of which the prompt says yes."""
    rows = zip(tree.items(), said, strict=True)
    return pd.DataFrame(
        [
            {"prompt_id": prompt_id, "question_id": name, "parent_ids": parents, "expected": "yes", "answer": answer}
            for (name, parents), answer in rows
        ]
    ).assign(element_type="object")


@pytest.mark.parametrize(
    "said, right",
    [
        ("yes yes yes yes yes yes", 6),
        ("no yes yes yes yes yes", 3),  # 1 is wrong; 2 and 5 are closed by it; 6 hangs on 2, which was right
        ("no no yes yes yes yes", 2),  # now 6 is closed too
        ("yes no yes yes yes yes", 4),  # 2 is wrong, 6 closed by it
        ("yes yes no yes yes yes", 3),  # 3 is wrong; 4 and 5 closed
        ("yes yes yes yes no yes", 5),  # nothing hangs on 5
        ("no yes no yes yes yes", 1),  # 6 alone
        ("no no no no no no", 0),
        ("maybe yes yes yes yes yes", 3),  # as a "no": 1 is not right
    ],
)
def test_dsg_counts_what_is_right_and_not_closed_by_a_direct_parent(said, right):
    assert dsg_score(answered(TREE, said.split()))["p"] == pytest.approx(right / 6)


def test_dsg_is_its_formula_for_every_way_to_answer():
    trees, expected = [], {}
    for number, said in enumerate(product(["yes", "no"], repeat=len(TREE))):
        answer = dict(zip(TREE, said, strict=True))
        counts = [answer[q] == "yes" and all(answer[p] == "yes" for p in TREE[q]) for q in TREE]
        expected[number] = float(Fraction(sum(counts), len(TREE)))
        trees.append(answered(TREE, said, number))
    scores = dsg_score(pd.concat(trees, ignore_index=True))
    assert scores.to_dict() == pytest.approx(expected)


def test_dsg_does_not_close_by_a_no_that_was_the_right_answer():
    tree = {"1": [], "2": ["1"]}
    answers = answered(tree, ["no", "yes"]).assign(expected=["no", "yes"])
    assert dsg_score(answers)["p"] == 1.0


def test_the_order_of_the_questions_does_not_matter():
    answers = answered(TREE, ["no", "yes", "yes", "no", "yes", "yes"])
    assert dsg_score(answers[::-1])["p"] == dsg_score(answers)["p"]
    assert tifa_score(answers[::-1])["p"] == tifa_score(answers)["p"] == pytest.approx(4 / 6)


def test_dsg_1k_is_scored_by_the_dependencies_of_its_file():
    """Dependencies as they stand in the file, those on the question itself too, for random answers."""
    path = published("dsg-1k-anns.csv")
    rng = random.Random(0)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = {(row["item_id"], row["proposition_id"]): rng.choice(["yes", "yes", "no"]) for row in rows}
    right: dict[str, list[bool]] = {}
    for row in rows:
        names = [row["proposition_id"], *(name.strip() for name in row["dependency"].split(","))]
        right.setdefault(row["item_id"], []).append(all(said.get((row["item_id"], name)) != "no" for name in names))
    questions = pd.DataFrame(
        [{"prompt_id": n, **question} for n, prompt in enumerate(files.read(path)) for question in prompt.questions]
    )
    answers = questions.rename(columns={"answer": "expected"}).assign(answer=list(said.values()))
    expected = [sum(item) / len(item) for item in right.values()]
    assert dsg_score(answers).tolist() == pytest.approx(expected)
    assert tifa_score(answers).mean() > dsg_score(answers).mean() + 0.1
