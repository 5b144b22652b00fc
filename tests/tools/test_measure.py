"""The median of warm calls is what a call costs."""

from versat2i.tools import measure


def test_the_median_of_warm_calls_counts():
    import torch

    calls = []
    cost = measure.timed(lambda: calls.append(1) or len(calls), torch.device("cpu"), 3)
    assert len(calls) == measure.WARM + 3 == cost.result and cost.memory is None and cost.seconds >= 0
