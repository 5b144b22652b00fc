"""Static merges: what they compute, derived from the experts' own products."""

import pytest
import tiny
import torch

from versat2i.adapters import merges

ALL = ("uniform", "sum", "svd", "ties", "dare_ties")


@pytest.fixture(scope="module")
def model():
    return tiny.unet()


@pytest.fixture(scope="module")
def experts(model):
    alphas = {"a": 2.0, "b": 1.0, "c": 4.0}
    return [tiny.adapter(model, name, alpha=alpha, targets=("to_q", "conv1")) for name, alpha in alphas.items()]


def update(adapter, module):
    """The dense ``s B A`` of one layer, a convolution's kernels in a row; zero where the adapter leaves it alone."""
    if module not in adapter.down:
        return 0
    return adapter.scale * adapter.up[module].flatten(1) @ adapter.down[module].flatten(1)


def test_uniform_is_the_average_and_sum_the_sum_of_the_updates(model):
    experts = [tiny.adapter(model, "a", rank=2), tiny.adapter(model, "b", rank=3, alpha=6.0, targets=("to_q",))]
    average, total = merges.uniform(experts), merges.total(experts)
    assert average.rank == total.rank == 5 and average.scale == total.scale == 1
    for module in experts[0].down:
        expected = sum(update(expert, module) for expert in experts)
        torch.testing.assert_close(update(total, module), expected)
        torch.testing.assert_close(update(average, module), expected / 2)


def test_a_weighted_merge_is_the_sum_with_these_weights(experts):
    weights = {"c": 0.25, "a": 1.0, "b": 0.0}
    merged = merges.weighted(experts, weights, "best")
    for module in merges.shapes(experts):
        expected = sum(weights[expert.name] * update(expert, module) for expert in experts)
        torch.testing.assert_close(update(merged, module), expected)
    assert (merged.rank, merged.scale, merged.name) == (6, 1.0, "best")


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_a_truncated_lora_is_the_best_of_its_rank(experts, rank):
    """The error is what the left-out singular values say (Eckart, Young); at a higher rank there is none."""
    whole = merges.total(experts)
    cut = merges.truncated(whole, rank)
    assert (cut.rank, cut.scale) == (rank, 1.0)
    for module, down in whole.down.items():
        assert cut.down[module].shape == (rank, *down.shape[1:])
        assert cut.up[module].shape == (whole.up[module].shape[0], rank, *[1] * (down.ndim - 2))
        left = torch.linalg.svdvals(update(whole, module))[rank:]
        error = (update(cut, module) - update(whole, module)).norm()
        torch.testing.assert_close(error, left.norm(), atol=1e-4, rtol=1e-3)


def test_svd_is_the_best_approximation_of_the_average_by_its_rank(experts):
    merged = merges.merge("svd", experts, seed=0)
    assert merged.rank == 2 and merged.scale == 1
    for module in merged.down:
        average = sum(update(expert, module) for expert in experts) / 3
        u, s, v = torch.linalg.svd(average)
        best = u[:, :2] * s[:2] @ v[:2]
        torch.testing.assert_close(update(merged, module), best, atol=1e-4, rtol=1e-4)


def test_ties_of_equal_experts_keeps_their_largest_entries(model):
    twin = tiny.adapter(model, "a")
    merged = merges.merge("ties", [twin, twin], seed=0)
    for module, down in merged.down.items():
        kept = down != 0
        assert kept.sum() == int(0.2 * down.numel())
        torch.testing.assert_close(down[kept], twin.down[module][kept])
        assert twin.down[module][~kept].abs().max() <= down[kept].abs().min()


def test_only_dare_depends_on_the_seed(experts):
    for method in ALL:
        first, again, other = (merges.merge(method, experts, seed=seed).down for seed in (0, 0, 1))
        assert all(torch.equal(first[module], again[module]) for module in first)
        same = all(torch.equal(first[module], other[module]) for module in first)
        assert same == (method != "dare_ties")


@pytest.mark.parametrize("method", ALL)
def test_global_random_state_is_untouched_and_results_are_finite(method, experts):
    before = torch.get_rng_state()
    merged = merges.merge(method, experts, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert merged.name == method and merged.down.keys() == experts[0].down.keys()
    assert all(torch.isfinite(weight).all() for part in (merged.down, merged.up) for weight in part.values())


def test_metadata_that_all_experts_share_is_kept(model):
    first, second = tiny.adapter(model, "a"), tiny.adapter(model, "b")
    first.metadata["aspect"], second.metadata["aspect"] = "a", "b"
    assert merges.total([first, second]).metadata == {"base": "tiny", "adapter": "sum"}


def test_unknown_method_names_the_close_match(experts):
    with pytest.raises(ValueError, match=r"'tie' is not a way to merge.*Did you mean 'ties'"):
        merges.merge("tie", experts, seed=0)


def test_ties_of_unequal_ranks_says_what_to_do(model):
    experts = [tiny.adapter(model, "a", rank=2), tiny.adapter(model, "b", rank=3)]
    with pytest.raises(ValueError, match=r"ties merges experts of equal rank \(found: {'a': 2, 'b': 3}\)"):
        merges.merge("ties", experts, seed=0)


def test_experts_of_different_models_are_refused(model):
    wider = tiny.adapter(tiny.unet(channels=(4, 12)), "b")
    with pytest.raises(ValueError, match=r"expert b: layer .* All must be trained on the same base model"):
        merges.uniform([tiny.adapter(model, "a"), wider])


def test_no_experts_is_an_error():
    with pytest.raises(ValueError, match="no experts"):
        merges.uniform([])
