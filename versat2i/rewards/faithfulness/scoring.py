"""Turn answers into scores: TIFA (Hu et al. 2023) and DSG (Cho et al. 2024)."""

import pandas as pd


def _words(answers: pd.Series) -> pd.Series:
    """Answers without regard to case and outer blanks; None stays None."""
    return answers.map(lambda answer: answer.strip().lower() if isinstance(answer, str) else None)


def correct(answers: pd.DataFrame) -> pd.Series:
    """Whether each ``answer`` is the ``expected`` one; None, "cannot tell", is not.

    Returns:
        ``bool [questions]``.
    """
    return _words(answers["answer"]) == _words(answers["expected"])


def tifa_score(answers: pd.DataFrame) -> pd.Series:
    """``mean_q [answer_q = expected_q]`` over the questions q of each prompt.

    Args:
        answers: one row a question: ``prompt_id, question_id, parent_ids, element_type, expected,
            answer``.

    Returns:
        Scores in [0, 1] by ``prompt_id``.
    """
    return correct(answers).astype(float).groupby(answers["prompt_id"]).mean()


def accuracy_by_type(answers: pd.DataFrame) -> pd.Series:
    """``mean_q [answer_q = expected_q]`` over the questions q of each type, whatever their prompt.

    Args:
        answers: as for `tifa_score`.

    Returns:
        Shares in [0, 1] by ``element_type``.
    """
    return correct(answers).astype(float).groupby(answers["element_type"]).mean()


def _parents(answers: pd.DataFrame) -> tuple[list[list[bool]], int]:
    """Whether each direct parent of each question was answered right, and how many parents are no question."""
    names = zip(answers["prompt_id"], answers["question_id"], strict=True)
    right = dict(zip(names, correct(answers), strict=True))
    rows = zip(answers["prompt_id"], answers["parent_ids"], strict=True)
    parents = [[(prompt_id, parent) for parent in ids] for prompt_id, ids in rows]
    unknown = sum(key not in right and key[1] != "0" for keys in parents for key in keys)
    return [[right[key] for key in keys if key in right] for keys in parents], unknown


def dsg_score(answers: pd.DataFrame) -> pd.Series:
    """``mean_q [answer_q = expected_q] prod_{p in parents(q)} [answer_p = expected_p]`` of each prompt.

    The color of a thing that is not there cannot be right. A parent counts by its own answer, whether or not its
    parents close it: grandparents do not reach through.

    Args:
        answers: one row a question: ``prompt_id, question_id, parent_ids, element_type, expected,
            answer``; the ``parent_ids`` are question ids of the same prompt, "0" is no parent
            where no question has that id.

    Returns:
        Scores in [0, 1] by ``prompt_id``. Parents that are no question of their prompt close nothing;
        ``attrs["unknown_parents"]`` is how many there are.
    """
    parents, unknown = _parents(answers)
    opened = pd.Series([all(right) for right in parents], answers.index, dtype=bool)
    scores = (correct(answers) & opened).astype(float).groupby(answers["prompt_id"]).mean()
    scores.attrs["unknown_parents"] = unknown
    return scores
