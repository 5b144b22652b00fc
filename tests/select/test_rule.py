"""Selection keeps the best of each prompt above a threshold, and says what to do when that is too little."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from versat2i.formats.measures import Measure
from versat2i.formats.tables import judged as tables_judged
from versat2i.select import rule as selection_rule

steady = settings(derandomize=True, max_examples=12, deadline=None)

UP = Measure(metric="taste", evaluator="tester", licence="none")
DOWN = UP.model_copy(update={"higher_is_better": False})
BEST = {"measure": UP, "per_prompt": 1, "margin": 0.0, "min_selected": 1, "label": "select@test"}


def rule(**changes):
    """A rule that keeps each prompt's best, with changes."""
    threshold = {} if "absolute" in changes else {"quantile": 0.0}
    return BEST | threshold | changes


def table(candidates, measure=UP):
    """Scores from ``{prompt_id: [score or None for abstained, ...]}``, k by position."""
    rows = [(name, k, value) for name, values in candidates.items() for k, value in enumerate(values)]
    frame = pd.DataFrame(rows, columns=["prompt_id", "k", "score"]).astype({"score": float})
    return frame.assign(merit=measure.merit(frame["score"]), abstained=reason(frame["score"]), details=None)


def reason(score):
    """Why there is no score, null where there is one."""
    return pd.Series("nothing to judge", index=score.index).where(score.isna())


def keys(frame):
    return set(zip(frame["prompt_id"], frame["k"], strict=True))


def picks_or_none(scores, **changes):
    """The picks, or an empty table where the rule leaves nothing."""
    try:
        return selection_rule.pick(scores, **rule(**changes))
    except ValueError:
        return pd.DataFrame({"prompt_id": [], "k": [], "score": [], "rank": []})


# coarse values, so that ties are common
values = st.integers(-4, 4).map(lambda n: n / 4)
MEASURES = st.sampled_from([UP, DOWN])
pools = st.dictionaries(
    st.sampled_from([f"p{n}" for n in range(8)]),
    st.lists(st.none() | values, min_size=1, max_size=6),
    min_size=1,
).filter(lambda pool: any(value is not None for scores in pool.values() for value in scores))


def test_the_best_candidate_of_each_prompt_is_picked():
    picks = selection_rule.pick(table({"b": [0.1, 0.9, 0.5], "a": [0.3, 0.2]}), **rule())
    assert picks.to_dict("list") == {
        "prompt_id": ["a", "b"],
        "k": [0, 1],
        "score": [0.3, 0.9],
        "rank": [1, 1],
    }


def test_several_picks_of_a_prompt_are_ranked_from_one():
    picks = selection_rule.pick(table({"a": [0.1, 0.9, 0.5]}), **rule(per_prompt=2))
    assert list(zip(picks["k"], picks["rank"], strict=True)) == [(1, 1), (2, 2)]


def test_a_score_at_the_threshold_is_kept():
    picks = selection_rule.pick(table({"a": [0.5], "b": [0.49]}), **rule(absolute=0.5))
    assert keys(picks) == {("a", 0)}


def test_lower_is_better_turns_threshold_and_order_round():
    scores = table({"a": [0.1, 0.9], "b": [0.6, 0.7]}, DOWN)
    picks = selection_rule.pick(scores, **rule(absolute=0.5, measure=DOWN))
    assert keys(picks) == {("a", 0)}


def test_the_quantile_is_a_score_of_the_pool_without_the_abstained():
    scores = table({"a": [None, None, 1.0, 2.0], "b": [3.0, 4.0, None, 5.0]})
    assert selection_rule.cutoff(scores, UP, quantile=0.5) == 3.0
    assert selection_rule.cutoff(scores, UP, quantile=0.0) == 1.0
    counted = table({"a": [None, None, 1.0, 2.0], "b": [3.0, 4.0, None, 5.0]}, DOWN)
    assert selection_rule.cutoff(counted, DOWN, quantile=0.25) == 4.0


def test_a_score_with_a_reason_against_it_is_not_picked():
    scores = table({"a": [0.1, 0.9]})
    scores["abstained"] = [None, "blacked out"]
    assert keys(selection_rule.pick(scores, **rule())) == {("a", 0)}


def test_a_prompt_whose_candidates_are_all_alike_fails_any_margin():
    scores = table({"alike": [0.9, 0.9, 0.9], "varied": [0.0, 0.25, 0.5]})
    assert keys(selection_rule.pick(scores, **rule(margin=0.25))) == {("varied", 2)}


def test_no_margin_takes_nothing_away():
    scores = table({"a": [0.1, 0.2, 0.3, 0.4]})
    assert len(selection_rule.pick(scores, **rule(per_prompt=4))) == 4


@pytest.mark.parametrize("threshold", [{}, {"absolute": 0.1, "quantile": 0.1}])
def test_a_threshold_is_absolute_or_a_quantile(threshold):
    with pytest.raises(ValueError, match="absolute or a quantile"):
        selection_rule.cutoff(table({"a": [0.1]}), UP, **threshold)


def test_too_few_picks_say_how_many_at_which_threshold_and_what_would_do():
    scores = table({f"p{n}": [n / 10, None] for n in range(10)})
    with pytest.raises(ValueError) as error:
        selection_rule.pick(scores, **rule(absolute=0.75, min_selected=4, label="select@geometry"))
    assert str(error.value) == (
        "select@geometry: 2 picks from 10 prompts have a score >= 0.75; min_selected is 4. "
        "Scores of the 10 candidates of 20 that did not abstain: min 0, 5% 0.045, 25% 0.225, 50% 0.45, "
        "75% 0.675, 95% 0.855, max 0.9. A threshold of 0.6 would keep 4."
    )


def test_a_quantile_that_keeps_too_few_is_answered_by_a_quantile():
    scores = table({f"p{n}": [n / 10] for n in range(11)})
    with pytest.raises(ValueError, match=re.escape("A quantile of 0.7 (score >= 0.7) would keep 4.")):
        selection_rule.pick(scores, **rule(quantile=0.9, min_selected=4))


def test_more_picks_than_prompts_can_give_are_not_blamed_on_the_threshold():
    with pytest.raises(ValueError, match="No threshold would give enough: without one there are 2 picks"):
        selection_rule.pick(table({"a": [0.1], "b": [0.2]}), **rule(min_selected=3))


def test_a_pool_that_abstained_throughout_is_said_to_have():
    with pytest.raises(ValueError, match="every one of the 2 candidates abstained"):
        selection_rule.pick(table({"a": [None, None]}), **rule(quantile=0.5))


def test_the_summary_counts_what_was_kept_and_what_was_not():
    scores = table({"a": [1.0, 2.0], "b": [0.0, None], "c": [None, None]})
    picks = selection_rule.pick(scores, **rule(absolute=0.5))
    metrics = selection_rule.summary(scores, picks, threshold=0.5)
    assert metrics == {
        "candidates": 6,
        "abstained": 3,
        "prompts": 3,
        "prompts_without_pick": 2,
        "picks": 1,
        "threshold": 0.5,
        "pool_mean": 1.0,
        "pool_std": 0.816497,
        "picks_mean": 2.0,
    }


def test_the_summary_of_nothing_has_no_nan():
    scores = table({"a": [None]})
    metrics = selection_rule.summary(scores, scores.head(0), threshold=0.5)
    assert "NaN" not in json.dumps(metrics)
    assert metrics["abstained"] == 1


def test_a_rival_is_the_worst_judged_candidate_of_the_prompt():
    scores = table({"a": [0.1, 0.2, 0.9], "b": [0.6, None, 0.8], "c": [0.7], "d": [0.5, 0.5]})
    picks = selection_rule.pick(scores, **rule())
    assert dict(zip(picks["prompt_id"], selection_rule.rivals(scores, picks)["rival"], strict=True)) == {
        "a": 0,
        "b": 0,
        "c": 0,
        "d": 0,
    }


def test_rivals_turn_round_where_lower_is_better():
    scores = table({"a": [0.1, 0.2, 0.9]}, DOWN)
    picks = selection_rule.pick(scores, **rule(measure=DOWN))
    assert selection_rule.rivals(scores, picks)[["rival", "gap"]].values.tolist() == [[2, pytest.approx(0.8)]]


def test_the_second_best_pick_gets_the_second_worst_and_none_gets_a_better_one():
    scores = table({"a": [0.4, 0.1, 0.3, 0.2], "b": [0.1, 0.2, 0.3]})
    picks = selection_rule.pick(scores, **rule(per_prompt=3))
    rivals = selection_rule.rivals(scores, picks)
    found = dict(zip(zip(picks["prompt_id"], picks["k"], strict=True), rivals["rival"], strict=True))
    # the third best of a would get the third worst, which is better; b's second best is its own second worst
    assert found == {("a", 0): 1, ("a", 2): 3, ("a", 3): 3, ("b", 2): 0, ("b", 1): 1, ("b", 0): 0}
    assert rivals["gap"].tolist() == pytest.approx([0.3, 0.1, 0, 0.2, 0, 0])


def test_a_pick_reaches_its_prompts_median_in_every_guard_and_its_rival_does_not_exceed_it():
    scores = table({"a": [0.9, 0.8, 0.7, 0.6, 0.1, 0.2]})
    one = selection_rule.merits(table({"a": [0.0, 0.5, 1.0, 0.4, 1.0, 0.0]}))  # median 0.45
    other = selection_rule.merits(table({"a": [0.0, 9.0, 0.0, 1.0, 0.0, 2.0]}, DOWN))  # median -0.5
    for guards, pick, rival in (([], 0, 4), ([one], 1, 5), ([other], 0, 5), ([one, other], 2, 5)):
        picks = selection_rule.pick(scores, **rule(), guards=guards)
        paired = selection_rule.rivals(scores, picks, guards=guards)
        assert paired[["k", "rival"]].values.tolist() == [[pick, rival]]


def test_scores_that_are_all_zero_have_the_direction_of_their_measure():
    """Zero faults are not too many: the direction cannot be read from the numbers."""
    scores = table({"a": [0.0, 0.0], "b": [0.0]}, DOWN)
    assert keys(selection_rule.pick(scores, **rule(absolute=0.5, measure=DOWN))) == {("a", 0), ("b", 0)}


def test_where_a_guard_abstains_it_keeps_nothing_out():
    scores = table({"a": [0.9, 0.1, 0.5], "b": [0.3, 0.2]})
    guard = selection_rule.merits(table({"a": [None, None, 1.0]}))
    picks = selection_rule.pick(scores, **rule(), guards=[guard])
    assert selection_rule.rivals(scores, picks, guards=[guard])[["k", "rival"]].values.tolist() == [[0, 1], [0, 1]]


def test_a_pick_with_no_rival_on_the_other_side_of_the_guard_teaches_nothing():
    scores = table({"a": [0.1, 0.9]})
    guard = selection_rule.merits(table({"a": [1.0, 0.0]}))
    picks = selection_rule.pick(scores, **rule(), guards=[guard])
    assert selection_rule.rivals(scores, picks, guards=[guard])[["k", "rival", "gap"]].values.tolist() == [[0, 0, 0.0]]


def test_too_few_picks_beside_a_guard_are_said_to_be_so():
    scores = table({"a": [0.9, 0.1], "b": [0.2, 0.8]})
    guard = selection_rule.merits(table({"a": [0.0, 1.0], "b": [0.0, 1.0]}))
    with pytest.raises(ValueError, match=re.escape("score >= 0.5 and pass the guard; min_selected is 2.")):
        selection_rule.pick(scores, **rule(absolute=0.5, min_selected=2), guards=[guard])


@steady
@given(st.lists(st.lists(st.tuples(values, values), min_size=2, max_size=6), min_size=1, max_size=6))
def test_no_pick_beside_a_guard_is_bought_with_it(rows):
    pool = {f"p{n}": row for n, row in enumerate(rows)}
    scores = table({name: [own for own, _ in row] for name, row in pool.items()})
    guard = selection_rule.merits(table({name: [other for _, other in row] for name, row in pool.items()}))
    picks = selection_rule.pick(scores, **rule(per_prompt=2), guards=[guard])
    found = selection_rule.rivals(scores, picks, guards=[guard])
    for row in found[found["gap"] > 0].itertuples():
        assert pool[row.prompt_id][row.k][1] >= pool[row.prompt_id][row.rival][1]


def test_rejected_are_the_worst_one_a_prompt_and_never_a_pick():
    scores = table({"a": [0.1, 0.2, 0.9], "b": [0.0, None, 0.8], "c": [0.7], "d": [0.5, 0.6]})
    picks = selection_rule.pick(scores, **rule())
    worst = selection_rule.rejected(scores, picks, 2)
    assert list(zip(worst["prompt_id"], worst["k"], strict=True)) == [("b", 0), ("a", 0)]
    assert len(selection_rule.rejected(scores, picks, 100)) == 3


def test_rejected_turns_round_where_lower_is_better():
    scores = table({"a": [0.1, 0.2, 0.9]}, DOWN)
    picks = selection_rule.pick(scores, **rule(measure=DOWN))
    assert keys(selection_rule.rejected(scores, picks, 1)) == {("a", 2)}


@steady
@given(pools)
def test_best_of_k_never_lowers_a_prompts_mean(pool):
    scores = table(pool)
    picks = selection_rule.pick(scores, **rule()).set_index("prompt_id")["score"]
    means = scores[scores["abstained"].isna()].groupby("prompt_id")["score"].mean()
    assert set(picks.index) == set(means.index)
    assert (picks >= means - 1e-12).all()


@steady
@given(st.lists(st.lists(values, min_size=3, max_size=3), min_size=1, max_size=8))
def test_best_of_k_never_lowers_the_mean_of_the_pool(rows):
    scores = table({f"p{n}": row for n, row in enumerate(rows)})
    picks = selection_rule.pick(scores, **rule())
    assert picks["score"].mean() >= scores["score"].mean() - 1e-12


@steady
@given(pools, st.randoms(use_true_random=False), st.integers(1, 3), MEASURES)
def test_the_order_of_rows_does_not_matter(pool, random, per_prompt, measure):
    scores = table(pool, measure)
    order = list(range(len(scores)))
    random.shuffle(order)
    shuffled = scores.iloc[order].reset_index(drop=True)
    picks, again = (
        selection_rule.pick(each, **rule(quantile=0.3, per_prompt=per_prompt, measure=measure))
        for each in (scores, shuffled)
    )
    pd.testing.assert_frame_equal(picks, again)
    pd.testing.assert_frame_equal(
        selection_rule.rejected(scores, picks, 3), selection_rule.rejected(shuffled, again, 3)
    )


@steady
@given(pools, st.integers(1, 6), MEASURES)
def test_the_abstained_are_never_picked_nor_rejected(pool, per_prompt, measure):
    scores = table(pool, measure)
    judged = keys(scores[scores["abstained"].isna()])
    picks = selection_rule.pick(scores, **rule(quantile=0.0, per_prompt=per_prompt, measure=measure))
    rejected = selection_rule.rejected(scores, picks, 100)
    assert keys(picks) <= judged
    assert keys(rejected) <= judged - keys(picks)


@steady
@given(pools)
def test_ties_go_to_the_lower_k(pool):
    picks = selection_rule.pick(table(pool), **rule())
    for name, k, score in picks[["prompt_id", "k", "score"]].itertuples(index=False):
        assert k == pool[name].index(score)


@steady
@given(pools, values, values, st.sampled_from([0.0, 0.25]), MEASURES)
def test_a_stricter_threshold_keeps_a_part_of_what_a_laxer_one_keeps(pool, one, other, margin, measure):
    scores = table(pool, measure)
    lax, strict = sorted((one, other), reverse=not measure.higher_is_better)
    kept, fewer = (
        picks_or_none(scores, absolute=bound, margin=margin, per_prompt=2, measure=measure) for bound in (lax, strict)
    )
    assert keys(fewer) <= keys(kept)


@steady
@given(pools, st.floats(0.0, 0.99), st.floats(0.0, 0.99))
def test_a_higher_quantile_keeps_a_part_of_what_a_lower_one_keeps(pool, one, other):
    scores = table(pool)
    lax, strict = sorted((one, other))
    kept, fewer = (picks_or_none(scores, quantile=share, per_prompt=6) for share in (lax, strict))
    assert keys(fewer) <= keys(kept)
    assert len(kept) >= (1 - lax) * scores["abstained"].isna().sum() - 1e-9


@steady
@given(pools, st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_a_larger_margin_keeps_a_part_of_what_a_smaller_one_keeps(pool, one, other):
    scores = table(pool)
    small, large = sorted((one, other))
    assert keys(picks_or_none(scores, margin=large)) <= keys(picks_or_none(scores, margin=small))


@steady
@given(
    st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=4), min_size=1, max_size=8),
    st.sampled_from(["absolute", "quantile"]),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.5]),
    MEASURES,
)
@example([[1 / 3], [2 / 3]], "absolute", 2, 0.0, UP)
@example([[1 / 3], [2 / 3]], "absolute", 2, 0.0, DOWN)
@example([[n] for n in range(8)], "quantile", 3, 0.0, UP)
def test_the_threshold_that_an_error_names_gives_enough(rows, kind, min_selected, margin, measure):
    scores = table({f"p{n}": row for n, row in enumerate(rows)}, measure)
    strict = {"quantile": 0.999} if kind == "quantile" else {"absolute": measure.merit(11.0)}
    common = {"margin": margin, "min_selected": min_selected, "measure": measure}
    try:
        selection_rule.pick(scores, **rule(**strict, **common))
    except ValueError as error:
        advice = re.search(r"A (?:threshold|quantile) of (\S+) .*?would keep (\d+)\.", str(error))
        if advice is None:
            assert "No threshold would" in str(error)
            assert len(picks_or_none(scores, margin=margin, measure=measure)) < min_selected
        else:
            picks = selection_rule.pick(scores, **rule(**{kind: float(advice[1])}, **common))
            assert len(picks) == int(advice[2]) >= min_selected


def test_the_distribution_has_the_shares_of_pool_and_picks_in_the_same_bins():
    scores = pd.DataFrame({"prompt_id": list("aabbc"), "k": [0, 1, 0, 1, 0], "score": [0.0, 1.0, 0.4, 0.6, np.nan]})
    scores["abstained"] = [None, None, None, None, "blank"]
    found = selection_rule.distribution(scores, scores.iloc[[1, 3]], 2)
    assert found["score"].tolist() == [0.25, 0.75]
    assert found["pool"].tolist() == [0.5, 0.5] and found["picks"].tolist() == [0.0, 1.0]


def measured(candidates, name="safety", measure=UP):
    return table(candidates, measure), measure.model_copy(update={"metric": name})


def test_a_candidate_below_a_filter_is_no_pick_no_rival_and_not_shown_as_rejected():
    scores = table({"a": [0.9, 0.5, 0.1, 0.3], "b": [0.2, 0.8, 0.4, 0.6]})
    judged, unit = measured({"a": [0.1, 0.9, 0.2, 0.8], "b": [0.9, 0.79, 0.8, 1.0]})
    left = selection_rule.filtered(scores, judged, unit, 0.8, "select@test")
    picks = selection_rule.pick(left, **rule())
    assert keys(picks) == {("a", 1), ("b", 3)}
    rivals = selection_rule.rivals(left, picks)
    assert list(zip(rivals["prompt_id"], rivals["rival"], strict=True)) == [("a", 3), ("b", 0)]
    assert keys(selection_rule.rejected(left, picks, 9)) == {("a", 3), ("b", 0)}
    assert selection_rule.dropped(scores, left) == {"filtered": 3}
    assert selection_rule.summary(left, picks, threshold=0.0)["abstained"] == 3
    assert set(left["abstained"].dropna()) == {"filtered: safety"}


def test_a_candidate_that_a_filter_cannot_judge_or_does_not_know_does_not_pass():
    scores = table({"a": [0.9, 0.5], "b": [0.7, None]})
    judged, unit = measured({"a": [None, 0.9], "b": [None, 0.9]})
    left = selection_rule.filtered(scores, judged.iloc[:2], unit, 0.8, "select@test")
    assert keys(tables_judged(left)) == {("a", 1)}
    assert left["abstained"].fillna("").tolist() == ["filtered: safety", "", "filtered: safety", "nothing to judge"]
    assert selection_rule.dropped(scores, left) == {"filtered": 2}


def test_a_filter_of_a_metric_where_less_is_better_takes_at_most_that_much():
    scores = table({"a": [0.9, 0.5]})
    judged, unit = measured({"a": [31.0, 30.0]}, "piqe", DOWN)
    assert keys(tables_judged(selection_rule.filtered(scores, judged, unit, 30.0, "x"))) == {("a", 1)}


def test_a_filter_that_nothing_passes_is_one_line():
    judged, unit = measured({"a": [0.1, 0.2]})
    with pytest.raises(ValueError, match=r"^select@test: none of the 2 candidates has a safety score >= 0\.8,"):
        selection_rule.filtered(table({"a": [0.9, 0.5]}), judged, unit, 0.8, "select@test")
