"""Faithfulness by element is counted over the answers of all images."""

import json

import pandas as pd

from versat2i.compare import elements


def test_right_answers_are_counted_by_the_type_of_what_was_asked():
    def details(*answers):
        rows = [{"element_type": kind, "correct": right} for kind, right in answers]
        return json.dumps({"answers": rows})

    color, count = ("color", True), ("counting", False)
    table = pd.DataFrame(
        [
            ("tifa", details(color, count)),
            ("tifa", details(("color", False), color)),
            ("tifa", None),  # abstained
            ("low_level", None),
            ("other", json.dumps({"lines": 3})),
            ("dsg", details(count)),
        ],
        columns=["metric", "details"],
    )
    assert elements.by_element(table) == {"tifa": {"color": 0.666667, "counting": 0.0}, "dsg": {"counting": 0.0}}
