"""An expert is a function of its selected set and its params, and only its LoRA is trained."""

from contextlib import nullcontext

import drawn
import pytest
import torch

from versat2i.adapters import lora
from versat2i.models import diffusion
from versat2i.settings.compute import CPU
from versat2i.settings.training import TrainLora
from versat2i.train import examples, expert, losses
from versat2i.train.checkpoint import Checkpoint


def rule(**changes):
    return TrainLora(**(drawn.LORA | changes))


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    return drawn.selected(tmp_path_factory.mktemp("selected") / "colour")


def train(model, selected, folder, settings=None, seed=0, name="colour"):
    checkpoint = Checkpoint(folder / "run.pt")
    return expert.train_lora(model, [selected], settings or rule(), seed, name, checkpoint, CPU)


def same(one, other):
    parts = ((one.down, other.down), (one.up, other.up))
    return all(torch.equal(a[module], b[module]) for a, b in parts for module in a)


def test_contrast_parts_best_from_rival(model, selected, tmp_path, monkeypatch):
    """After training the loss of the pairs is lower than the base's."""
    loads, load = [], diffusion.load
    monkeypatch.setattr(diffusion, "load", lambda *args: loads.append(load(*args)) or loads[-1])
    _, curve = train(
        model,
        selected,
        tmp_path,
        rule(
            objective="contrast",
            steps=60,
            batch_size=4,
            learning_rate=0.03,
            lr_scheduler="linear",
            targets="attention+feedforward",
        ),
    )
    loaded = loads[0]
    data = examples.of(loaded, [selected], "contrast")

    def loss(model, without):
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            pairs = (data.latents, data.prompts, data.weights)
            draws = [losses.contrast_loss(model, *pairs, generator, without) for _ in range(6)]
        return torch.stack(draws).mean().item()

    assert loss(loaded, lambda: lora.detached(loaded.denoiser)) < loss(load(model), nullcontext) - 0.001
    assert len(curve) == 60


def test_the_same_params_give_the_same_bits(model, selected, tmp_path):
    (first, curve), (second, again) = (train(model, selected, tmp_path / name) for name in "ab")
    assert same(first, second) and curve.equals(again)
    assert len(curve) == 3 and first.metadata == {**diffusion.identity(model), "adapter": "colour"}
    for other in (train(model, selected, tmp_path / "c", seed=1), train(model, selected, tmp_path / "d", name="form")):
        assert not same(first, other[0])


def test_only_the_lora_is_trained(model, selected, tmp_path, monkeypatch):
    loads, load = [], diffusion.load
    monkeypatch.setattr(diffusion, "load", lambda *args: loads.append(load(*args)) or loads[-1])
    adapter, _ = train(model, selected, tmp_path)
    after = {
        name.replace(".base_layer.", "."): value
        for name, value in loads[0].denoiser.state_dict().items()
        if ".lora_" not in name
    }
    before = load(model).denoiser.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(up.any() for up in adapter.up.values())  # every B has left zero


def test_training_lowers_the_loss_on_what_it_is_trained_on(model, selected, tmp_path, monkeypatch):
    loads, load = [], diffusion.load
    monkeypatch.setattr(diffusion, "load", lambda *args: loads.append(load(*args)) or loads[-1])
    train(model, selected, tmp_path, rule(steps=20, batch_size=6, targets="attention+feedforward"))

    def loss(loaded):
        data, generator = examples.of(loaded, [selected], "sft"), torch.Generator().manual_seed(0)
        with torch.no_grad():
            draws = [
                losses.diffusion_loss(loaded, data.latents, data.prompts, generator, None).item() for _ in range(6)
            ]
        return sum(draws) / len(draws)

    assert loss(loads[0]) < loss(load(model)) - 0.005


def test_a_stopped_expert_ends_as_an_unbroken_one(model, selected, tmp_path, monkeypatch):
    unbroken, curve = train(model, selected, tmp_path / "a", rule(checkpoint_every=1))
    calls, loss = [], losses.diffusion_loss

    def fails_at_the_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return loss(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(losses, "diffusion_loss", fails_at_the_third)
        train(model, selected, tmp_path / "b", rule(checkpoint_every=1))
    resumed, all_losses = train(model, selected, tmp_path / "b", rule(checkpoint_every=1))
    assert same(unbroken, resumed) and curve.equals(all_losses)


def test_a_distilled_model_says_once_what_sft_may_cost_it(model, selected, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(diffusion.Backbone, "distilled", True)
    train(model, selected, tmp_path / "sft")
    train(model, selected, tmp_path / "contrast", rule(objective="contrast"))
    assert [message for message in caplog.messages if "distilled" in message] == [
        "this model was distilled to draw in a few steps, which `objective: sft` may undo: `objective: contrast` "
        "trains on its own samples alone"
    ]
