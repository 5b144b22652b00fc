"""The gates' summary says where they are."""

import math

import pytest
import tiny
import torch

from versat2i.adapters import mixture
from versat2i.mix import gates as gate_training


def mixed(scope):
    denoiser = tiny.unet()
    return denoiser, mixture.attach(denoiser, [tiny.adapter(denoiser, name) for name in ("colour", "form")], scope)


@pytest.mark.parametrize("scope", ["token", "image", "layer", "time", "prompt"])
def test_gates_start_uniform(scope):
    denoiser, gates = mixed(scope)
    with torch.no_grad():
        denoiser(torch.ones(1, 4, 8, 8), torch.tensor([1]), torch.ones(1, 6, tiny.TEXT_DIM))
    assert gate_training.gate_summary(gates) == {
        "gate": {"colour": 0.5, "form": 0.5},
        "entropy": 1.0,
        "distance": 0.0,
        "scale": 1.0,
        "temperature": 1.0,
    }


def test_a_summary_worked_out_by_hand():
    """Biases log 3 and 0 are gates 3/4 and 1/4 at temperature 1."""
    _, gates = mixed("layer")
    for layer in gates.layers.values():
        layer.gate.bias.data[0] = math.log(3)
        layer.gate.scale.data.fill_(0.5)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    summary = gate_training.gate_summary(gates)
    assert summary["gate"] == {"colour": 0.75, "form": 0.25}
    assert summary["entropy"] == pytest.approx(entropy, abs=1e-6)
    assert (summary["distance"], summary["scale"], summary["temperature"]) == (0.25, 0.5, 1.0)


def test_a_gate_that_has_decided_has_no_entropy():
    _, gates = mixed("layer")
    for layer in gates.layers.values():
        layer.gate.bias.data[1] = 200.0
    summary = gate_training.gate_summary(gates)
    assert (summary["entropy"], summary["distance"]) == (0.0, 0.5)


def test_the_gate_of_a_single_expert_has_no_entropy():
    model = tiny.unet()
    alone = mixture.attach(model, [tiny.adapter(model, "colour")], "layer")
    summary = gate_training.gate_summary(alone)
    assert (summary["gate"], summary["entropy"], summary["distance"]) == ({"colour": 1.0}, 0.0, 0.0)
