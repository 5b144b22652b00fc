"""Q-Bench's released logits of LLaVA 1.5 through the formula of `q_instruct`, against people."""

import json

import numpy as np
import pandas as pd
import pytest
from published import fetched

from versat2i.rewards.common.levels import quality

pytestmark = pytest.mark.slow  # what it reads may have to be downloaded


@pytest.mark.parametrize("images, published", [("agi", 0.664), ("koniq", 0.448), ("livec", 0.445)])
def test_the_rank_correlation_with_people_is_the_published_one(images, published):
    """Two words, good and poor. The temperature of 100 that Q-Bench divides by changes no rank."""
    text = fetched(f"q-bench_llava_v1.5_{images}.json").read_text()
    rows = json.loads(f"[{text.replace('}{', '}, {')}]" if text.startswith("{") else text)
    table = pd.DataFrame(rows)
    logits = table[["logit_good", "logit_poor"]].to_numpy(np.float64)[:, :, None]
    scores = pd.Series(quality(logits, [1.0, 0.0]))
    assert scores.corr(table["gt_score"].astype(float), "spearman") == pytest.approx(published, abs=5e-4)
