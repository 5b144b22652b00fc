"""The embedded world's prompts: distinct, split by their words, with questions of their own."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.prompts.records import normalise, prompt_id
from versat2i.shapes.world import grammar
from versat2i.shapes.world.prompts import SPLITS, ask, sample, split_of

steady = settings(derandomize=True, max_examples=15, deadline=None)

SHARES = {"train": 0.0, "dev": 0.5, "eval": 0.5}


def texts(amount, seed=0, held_out=0.0, split="train"):
    return [prompt.text for prompt in sample(amount, seed, held_out, split)]


@steady
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 1000), st.sampled_from(sorted(SHARES)))
def test_a_larger_amount_gives_the_same_prompts_and_more(some, more, seed, split):
    few, many = (list(sample(amount, seed, SHARES[split], split)) for amount in (some, some + more))
    assert len(many) == some + more
    assert many[:some] == few


def test_prompts_come_as_they_are_drawn():
    assert len(list(islice(sample(10**9, 0, 0.0, "train"), 5))) == 5


def test_prompts_are_distinct_and_normal():
    found = texts(500)
    assert len({prompt_id(text) for text in found}) == 500
    assert found == [normalise(text) for text in found]


def test_another_seed_gives_other_prompts():
    assert texts(20, seed=1) == texts(20, seed=1)
    assert texts(20, seed=1) != texts(20, seed=2)


def test_splits_share_no_prompt_with_any_seeds():
    found = {split: {text for seed in (0, 1) for text in texts(200, seed, 0.0, split)} for split in SHARES}
    assert not found["train"] & found["dev"]
    assert not found["train"] & found["eval"]
    assert not found["dev"] & found["eval"]
    for split, some in found.items():
        assert {split_of(text) for text in some} == {split}


def test_three_of_five_sentences_are_for_training():
    amount = 2000
    splits = [split_of(f"sentence {number}") for number in range(amount)]
    for split in SHARES:
        share = SPLITS.count(split) / len(SPLITS)
        deviation = (share * (1 - share) / amount) ** 0.5
        assert abs(splits.count(split) / amount - share) < 4 * deviation


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_held_out_combinations_is_as_asked_for(share):
    amount = 300
    found = sum(grammar.parse(text).held_out for text in texts(amount, 0, share, "eval"))
    assert abs(found / amount - share) <= 4 * (share * (1 - share) / amount) ** 0.5


def test_the_source_tells_held_out_combinations_apart():
    for prompt in sample(60, 0, 0.5, "dev"):
        held_out = any((group.color, group.shape) in grammar.HELD_OUT for group in grammar.parse(prompt.text).groups)
        assert prompt.source == ("shapes:held_out" if held_out else "shapes:seen")


def test_training_sees_no_held_out_combination_and_refuses_to():
    assert not any(grammar.parse(text).held_out for text in texts(300))
    with pytest.raises(ValueError, match=r"prompts\.train: held_out must be 0"):
        next(sample(1, 0, 0.1, "train"))


def test_a_prompt_knows_its_category():
    assert all(prompt.category == grammar.parse(prompt.text).category for prompt in sample(60, 0, 0.0, "train"))


def test_a_prompt_is_asked_the_same_whether_drawn_or_read():
    for prompt in sample(60, 0, 0.5, "eval"):
        assert prompt.questions == ask(prompt.text)
        assert {question["prompt_id"] for question in prompt.questions} == {prompt_id(prompt.text)}


def test_a_sentence_that_is_not_of_the_grammar_is_not_asked_about():
    with pytest.raises(ValueError, match="'dog' is not a word of the shapes grammar"):
        ask("a red dog")
