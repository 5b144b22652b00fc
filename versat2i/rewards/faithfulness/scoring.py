"""From answers to scores: TIFA (Hu et al. 2023) and DSG (Cho et al. 2024)."""

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


def _open(answers: pd.DataFrame) -> pd.Series:
    """Whether no direct parent of each question was answered "no"; the other answers do not close it."""
    said_no = _words(answers["answer"]) == "no"
    names = list(zip(answers["prompt_id"], answers["question_id"], strict=True))
    closed = dict(zip(names, said_no, strict=True))
    rows = zip(names, answers["parent_ids"], strict=True)
    parents = [(name, [(name[0], parent) for parent in ids]) for name, ids in rows]
    for (prompt_id, question_id), keys in parents:
        for key in keys:
            if key not in closed:
                raise ValueError(
                    f"question {question_id} of prompt {prompt_id} depends on {key[1]}, which is not there"
                )
    return pd.Series([not any(closed[key] for key in keys) for _, keys in parents], answers.index, dtype=bool)


def dsg_score(answers: pd.DataFrame) -> pd.Series:
    """``mean_q [answer_q = expected_q] prod_{p in parents(q)} [answer_p != "no"]`` of each prompt.

    The color of a thing that is not there cannot be right. Parents count with the raw answer to them,
    not with their score: grandparents do not reach through.

    Args:
        answers: one row a question: ``prompt_id, question_id, parent_ids, element_type, expected,
            answer``; the ``parent_ids`` are question ids of the same prompt.

    Returns:
        Scores in [0, 1] by ``prompt_id``.

    Raises:
        ValueError: a parent is not among the questions of its prompt.
    """
    return (correct(answers) & _open(answers)).astype(float).groupby(answers["prompt_id"]).mean()
