"""The sample of picks is fair."""

import pandas as pd

from versat2i.report import aspects


def test_the_sample_of_picks_has_one_of_each_prompt():
    picks = pd.DataFrame([(f"p{n:02}", k) for n in (*range(20, 0, -1), 0) for k in (3, 1)], columns=["prompt_id", "k"])
    shown = aspects.fair_sample(picks)
    assert list(zip(shown["prompt_id"], shown["k"], strict=True)) == [(f"p{n:02}", 1) for n in range(aspects.EXAMPLES)]
