"""Prompts appended or K raised add shards and leave every full one as it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.generate.plan import K_PER_SHARD
from versat2i.generate.plan import blocks as cut

sizes = st.tuples(st.integers(0, 40), st.integers(1, 13), st.integers(1, 9))  # prompts, per prompt, prompts a shard


def blocks(prompts, per_prompt, prompts_per_shard):
    return cut([f"p{n}" for n in range(prompts)], per_prompt, prompts_per_shard)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(sizes)
def test_blocks_hold_every_candidate_once(drawn):
    prompts, per_prompt, size = drawn
    keys = [key for block in blocks(*drawn).values() for key in block]
    assert sorted(keys) == sorted((f"p{n}", k) for n in range(prompts) for k in range(per_prompt))
    assert all(0 < len(block) <= size * K_PER_SHARD for block in blocks(*drawn).values())


@settings(derandomize=True, max_examples=60, deadline=None)
@given(sizes, st.integers(0, 20), st.integers(0, 9))
def test_prompts_appended_and_k_raised_leave_every_full_shard_as_it_is(drawn, more_prompts, more_k):
    prompts, per_prompt, size = drawn
    before, after = blocks(*drawn), blocks(prompts + more_prompts, per_prompt + more_k, size)
    for name, keys in before.items():
        assert set(keys) <= set(after[name])
        if len(keys) == size * K_PER_SHARD:
            assert after[name] == keys


@pytest.mark.parametrize("before, after, share", [(2, 4, 1), (4, 6, 1 / 3), (6, 8, 1 / 2), (4, 8, 1 / 2)])
def test_a_larger_k_leaves_the_shards_of_four_as_they_are(before, after, share):
    """As docs/pipeline.md says."""
    old, new = (cut(["a", "b", "c"], per_prompt, 2) for per_prompt in (before, after))
    drawn = sum(len(keys) for name, keys in new.items() if old.get(name) != keys)
    assert drawn == share * 3 * after


def test_blocks_are_named_in_the_order_of_the_prompts():
    assert list(blocks(5, 5, 2)) == [f"{block:05d}-{ks:03d}" for block in range(3) for ks in range(2)]
    assert blocks(5, 5, 2)["00002-001"] == [("p4", 4)]
