"""Faithfulness by element: how often questions about colours, numbers, shapes are answered right."""

import json

import pandas as pd


def by_element(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Share of right answers about each type of element, of the metrics that ask questions.

    Args:
        table: one row an image and metric (kind `evaluation`).

    Returns:
        metric -> type (``color``, ``counting``, ...) -> share, to 6 decimals; as TIFA has it, all images together.
    """
    found = {}
    for metric, rows in table.groupby("metric"):
        details = [json.loads(text) for text in rows["details"].dropna()]
        answers = pd.DataFrame([answer for each in details for answer in each.get("answers", [])])
        if len(answers):
            shares = answers.groupby("element_type")["correct"].mean().round(6)
            found[str(metric)] = {str(kind): float(share) for kind, share in shares.items()}
    return found
