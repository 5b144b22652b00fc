"""TensorBoard's events are written beside the training and change nothing of it."""

import sys
from pathlib import Path

import drawn
import pytest
import torch

from versat2i.adapters import lora
from versat2i.mix import gates
from versat2i.settings.compute import CPU
from versat2i.train import expert as experts
from versat2i.train.checkpoint import Checkpoint


@pytest.fixture
def run(tmp_path, monkeypatch, model):
    """A function that trains an expert and the mixture of it, tracked or not: its weights and losses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "store"))
    selected, settings = drawn.selected(tmp_path / "selected"), drawn.settings(model)

    def train(tracker: str) -> dict[str, torch.Tensor]:
        machine = CPU.model_copy(update={"tracker": tracker, "samples_every": 2})
        torch.manual_seed(3)
        rule, fresh = settings.train_lora["colour"], Checkpoint(tmp_path / "none" / "checkpoint.pt")
        expert, first = experts.train_lora(model, [selected], rule, 0, "colour", fresh, machine)
        pair = [expert, lora.Adapter("form", expert.down, expert.up, 1.0, expert.metadata)]
        fresh.remove()
        mixed, _, second = gates.train_mixture(
            model, pair, [selected], settings.mix["mixture"], 0, fresh, machine, "mixture"
        )
        fresh.remove()
        named = {f"{module}.{part}": getattr(expert, part)[module] for part in ("down", "up") for module in expert.down}
        losses = {name: torch.tensor(frame["loss"].to_numpy()) for name, frame in (("1", first), ("2", second))}
        return named | mixed.state_dict() | mixed.mean_gates() | losses | {"random": torch.rand(3)}

    return train


def events(name):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(Path("store/tensorboard") / name), size_guidance={"images": 0, "scalars": 0})
    return found.Reload()


def test_weights_gates_losses_and_random_state_are_equal_with_and_without(run):
    pytest.importorskip("tensorboard", reason="no TensorBoard here: pip install versat2i[tensorboard]")
    without = run("none")
    assert not Path("store").exists()
    tracked = run("tensorboard")
    assert without.keys() == tracked.keys()
    for name, weight in without.items():
        assert torch.equal(weight, tracked[name]), name
    for name, losses in (("colour", tracked["1"]), ("mixture", tracked["2"])):
        found = events(name)
        scalars = found.Scalars("loss")
        assert [entry.step for entry in scalars] == list(range(1, len(losses) + 1))
        assert [entry.value for entry in scalars] == pytest.approx(losses.tolist())
        assert [entry.step for entry in found.Images("samples")] == list(range(2, len(losses) + 1, 2))


def test_without_the_package_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"please install versat2i\[tensorboard\]"):
        run("tensorboard")
