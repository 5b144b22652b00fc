"""A schedule noises, and says what is to be predicted, as its formula says."""

import pytest
import torch

from versat2i.models.diffusion.schedules import snr_weights


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("epsilon", [1, 5 / 9, 1]), ("v_prediction", [1 / 2, 5 / 10, 0.25 / 1.25])],
)
def test_min_snr_weights_worked_out_by_hand(kind, expected):
    """alpha_bar 0.5, 0.9 and 0.2 are signal-to-noise ratios 1, 9 and 0.25; gamma is 5."""
    weights = snr_weights(torch.tensor([0.2, 0.9, 0.5]), torch.tensor([2, 1, 0]), 5.0, kind)
    torch.testing.assert_close(weights, torch.tensor(expected))
