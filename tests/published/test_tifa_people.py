"""TIFA's 800 images that people rated, with the scores that its authors made by five VQAs."""

import json
from fractions import Fraction

import pandas as pd
import pytest
from published import fetched

from versat2i.rewards.faithfulness import tifa_score

pytestmark = pytest.mark.slow  # what it reads may have to be downloaded

MOST_QUESTIONS = 60  # of a prompt


@pytest.fixture(scope="module")
def images():
    """One row an image: the mean of two people's ratings, 1 to 5, and TIFA by each VQA."""
    return pd.DataFrame(json.loads(fetched("human_annotations_with_scores.json").read_text())).T


def rescored(shares):
    """`tifa_score` of answers that have these shares of right ones, one table an image."""
    exact = [Fraction(share).limit_denominator(MOST_QUESTIONS) for share in shares]
    rows = [
        {"prompt_id": image, "expected": "yes", "answer": "yes" if number < share.numerator else "no"}
        for image, share in enumerate(exact)
        for number in range(share.denominator)
    ]
    return tifa_score(pd.DataFrame(rows)).tolist()


# Kendall's tau-b with people; Pearson's r, which the authors' notebook prints as "Spearman's"; Spearman's own
PUBLISHED = {
    "mplug-large": (0.472, 0.597, 0.592),
    "blip2-flant5xl": (0.436, 0.559, 0.558),
    "git-large": (0.426, 0.545, 0.545),
    "vilt": (0.382, 0.493, 0.500),
    "ofa-large": (0.372, 0.496, 0.487),
}


@pytest.mark.parametrize("vqa", PUBLISHED)
def test_the_rank_correlation_with_people_is_the_published_one(images, vqa):
    scores = pd.Series(rescored(images[f"tifa_{vqa}"]))
    people = images["human_avg"].astype(float).reset_index(drop=True)
    found = [scores.corr(people, kind) for kind in ("kendall", "pearson", "spearman")]
    assert len(images) == 800
    assert found == pytest.approx(PUBLISHED[vqa], abs=5e-4)


def test_the_scores_are_shares_of_each_prompts_questions(images):
    """One number of questions a prompt for all five VQAs and all five models' images: nothing else is in a score."""
    for _, rows in images.groupby("text_id"):
        shares = [share for vqa in PUBLISHED for share in rows[f"tifa_{vqa}"].astype(float)]
        assert any(all(abs(s * n - round(s * n)) < 1e-6 for s in shares) for n in range(1, MOST_QUESTIONS))
