"""The loss is the formula, every draw is a function of (seed, step), and a stopped run ends as an unbroken one."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import drawn
import pandas as pd
import pytest
import torch
from torch import nn

from versat2i.models import diffusion
from versat2i.models.diffusion import Embeddings
from versat2i.settings.params import Model, Training
from versat2i.train import checkpoint as checkpoints
from versat2i.train import examples as training_examples
from versat2i.train import loop
from versat2i.train.checkpoint import Checkpoint
from versat2i.train.examples import Examples


@pytest.fixture(scope="module")
def loaded(model_folder):
    return diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))


def rule(**changes):
    defaults = drawn.TRAINING | {
        "steps": 6,
        "batch_size": 3,
        "learning_rate": 0.1,
        "caption_dropout": 0.0,
        "checkpoint_every": 2,
    }
    return Training(**(defaults | changes))


def examples(amount=7):
    """Example i holds latents i and embeddings i + 1; the empty prompt is all zero."""
    numbers = torch.arange(amount, dtype=torch.float32)
    latents = numbers[:, None, None, None].expand(-1, 1, 2, 2)
    hidden = (numbers + 1)[:, None, None].expand(-1, 3, 4)
    empty = Embeddings(torch.zeros(1, 3, 4), torch.tensor([[True, False, False]]))
    prompts = Embeddings(hidden, torch.ones(amount, 3, dtype=torch.bool))
    return Examples(latents, prompts, empty, weights=numbers + 2)


# --------------------------------------------------------------------------- batches


def rows(settings, seed=0, first=0, amount=7):
    """Which examples each step sees."""
    steps = training_examples.batches(examples(amount), settings, seed, first)
    return [batch.latents[:, 0, 0, 0].int().tolist() for _, batch, _ in steps]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 9, 16])
def test_every_epoch_is_a_permutation(batch_size):
    seen = [row for batch in rows(rule(batch_size=batch_size, steps=21)) for row in batch]
    assert len(seen) == 21 * batch_size
    epochs = [seen[i : i + 7] for i in range(0, len(seen) - 6, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_batch_depends_on_seed_and_step_alone():
    whole, late = rows(rule()), rows(rule(), first=4)
    assert whole[4:] == late
    assert rows(rule(steps=100))[:6] == whole
    assert rows(rule(), seed=1) != whole
    draws = [
        [
            torch.rand((), generator=generator).item()
            for *_, generator in training_examples.batches(examples(), rule(), 0, first)
        ]
        for first in (0, 4)
    ]
    assert draws[0][4:] == draws[1] and len(set(draws[0])) == 6


def test_captions_and_weights_stay_with_their_latents():
    for _, batch, _ in training_examples.batches(examples(), rule(), 0, 0):
        assert torch.equal(batch.prompts.hidden[:, 0, 0], batch.latents[:, 0, 0, 0] + 1)
        assert torch.equal(batch.weights, batch.latents[:, 0, 0, 0] + 2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_captions_is_dropped_with_its_mask(share):
    data, dropped = examples(), []
    for _, batch, _ in training_examples.batches(data, rule(caption_dropout=share, batch_size=50, steps=40), 0, 0):
        prompts = batch.prompts
        empty = (prompts.hidden == 0).all((1, 2))
        assert torch.equal(prompts.mask, torch.where(empty[:, None], data.empty.mask, True))
        dropped += empty.tolist()
    margin = 4 * (share * (1 - share) / len(dropped)) ** 0.5  # standard deviations
    assert sum(dropped) / len(dropped) == pytest.approx(share, abs=margin)
    assert (data.prompts.hidden > 0).all()  # the examples themselves are left as they are


# --------------------------------------------------------------------------- the loop


class Run:
    """Training of one weight vector towards each batch's latents plus noise.

    Attributes:
        at: called with the number of each step before its loss.
    """

    def __init__(self, folder, at=lambda step: None, **changes):
        self.weight = nn.Parameter(torch.zeros(4))
        self.checkpoint, self.settings = Checkpoint(folder / "run.pt"), rule(**changes)
        self.at, self.step = at, len((self.checkpoint.load() or {"losses": []})["losses"])

    def loss(self, batch, generator):
        self.at(self.step)
        self.step += 1
        target = batch.latents.flatten(1) + torch.randn(len(batch), 4, generator=generator)
        return (self.weight - target).square().mean()

    def train(self):
        return loop.train([self.weight], self.loss, examples(), self.settings, 0, self.checkpoint, "run")


class Killed(Exception):
    pass


def kill(at):
    def strike(step):
        if step == at:
            raise Killed

    return strike


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("unbroken"))
    return run.train(), run.weight.detach()


@pytest.mark.parametrize("every", [1, 2, 100])
@pytest.mark.parametrize("stop", range(6))
def test_killed_in_any_step_it_ends_with_the_same_weights(tmp_path, unbroken, stop, every):
    first = Run(tmp_path, kill(stop), checkpoint_every=every)
    with pytest.raises(Killed):
        first.train()
    second = Run(tmp_path, checkpoint_every=every)
    assert second.step == stop // every * every  # nothing that was saved is done again
    losses = second.train()
    assert torch.equal(second.weight, unbroken[1])
    pd.testing.assert_frame_equal(losses, unbroken[0])


def test_once_finished_it_is_not_trained_again(tmp_path, unbroken):
    Run(tmp_path).train()
    again = Run(tmp_path, kill(6))
    pd.testing.assert_frame_equal(again.train(), unbroken[0])
    assert torch.equal(again.weight, unbroken[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_state_and_stops(tmp_path, unbroken, number):
    def former(number, frame):
        raise Killed

    before = signal.signal(number, former)
    try:
        run = Run(tmp_path, lambda step: os.kill(os.getpid(), number) if step == 2 else None, checkpoint_every=100)
        with pytest.raises(loop.Stopped, match="run: stopped after step 3; run again to go on"):
            run.train()
        assert signal.getsignal(number) is former
    finally:
        signal.signal(number, before)
    assert len(run.checkpoint.load()["losses"]) == 3
    resumed = Run(tmp_path, checkpoint_every=100)
    resumed.train()
    assert torch.equal(resumed.weight, unbroken[1])


def test_a_loss_that_is_not_finite_is_one_clear_error(tmp_path):
    run = Run(tmp_path)

    def spoil(step):
        if step == 1:
            run.weight.data[0] = torch.nan

    run.at = spoil
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError) as error:
        run.train()
    assert str(error.value) == "run: the loss is nan at step 1; lower learning_rate"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_step_is_a_tenth_of_the_rate(tmp_path):
    """Adam's first step is the learning rate whatever the gradient; warm-up takes ten steps."""
    run = Run(tmp_path, steps=1, learning_rate=0.5)
    run.train()
    torch.testing.assert_close(run.weight.detach().abs(), torch.full((4,), 0.05), atol=1e-5, rtol=0)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"junk", lambda data: data[: len(data) // 2]])
def test_a_damaged_checkpoint_is_ignored(tmp_path, unbroken, damage):
    with pytest.raises(Killed):
        Run(tmp_path, kill(4)).train()
    path = tmp_path / "run.pt"
    path.write_bytes(damage(path.read_bytes()))
    run = Run(tmp_path)
    assert run.step == 0 and not path.exists()
    run.train()
    assert torch.equal(run.weight, unbroken[1])


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_found(tmp_path):
    """torch itself does not look: a flipped bit of a weight would be trained on."""
    run = Run(tmp_path)
    run.train()
    path = tmp_path / "run.pt"
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert Checkpoint(path).load() is None and not path.exists()
    path.write_bytes(whole)
    assert Checkpoint(path).load() is not None


def test_the_checkpoint_of_another_run_is_ignored_though_it_is_whole(tmp_path):
    run = Run(tmp_path)
    run.train()
    run.checkpoint.path.rename(tmp_path / "other.pt")
    assert Checkpoint(tmp_path / "other.pt").load() is None and not list(tmp_path.iterdir())


def test_several_who_write_one_checkpoint_leave_it_whole_at_any_time(tmp_path):
    """Each writes under a name of its own."""
    checkpoint = Checkpoint(tmp_path / "run.pt")

    def save(number):
        for _ in range(10):
            checkpoint.save({"weights": torch.full((20_000,), float(number))})
            assert checkpoint.load()["weights"].unique().numel() == 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(save, range(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


class Slope(torch.autograd.Function):
    """Zero, with a gradient that is no number."""

    @staticmethod
    def forward(ctx, weight):
        return weight.sum() * 0

    @staticmethod
    def backward(ctx, gradient):
        return torch.full((4,), torch.nan)


def test_weights_that_are_not_finite_in_the_end_are_an_error(tmp_path):
    """No loss looks at what the last step has done."""
    run = Run(tmp_path, steps=3)

    def loss(batch, generator):
        run.step += 1
        return run.weight.sum() if run.step < 3 else Slope.apply(run.weight)

    with pytest.raises(ValueError, match=r"run: weights are not finite after step 3; lower learning_rate"):
        loop.train([run.weight], loss, examples(), run.settings, 0, run.checkpoint, "run")


def test_a_checkpoint_is_kept_until_it_is_removed(tmp_path):
    run = Run(tmp_path)
    run.train()
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    run.checkpoint.remove()
    run.checkpoint.remove()
    assert run.checkpoint.load() is None and not list(tmp_path.iterdir())


def test_a_checkpoint_is_found_under_the_same_inputs_only(tmp_path, model, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "picks").write_text("one")
    whole = drawn.settings(model)

    def path(name="colour", module="versat2i.train.expert", settings=whole, rule=whole.train_lora["colour"]):
        return checkpoints.of("train_lora", module, name, settings, rule, [inputs]).path

    first = path()
    assert first == path() and first.parent == tmp_path / "work" / "train_lora"
    others = [
        path(name="form"),
        path(module="versat2i.mix.unions"),
        path(settings=whole.model_copy(update={"seed": 1})),
        path(settings=whole.model_copy(update={"model": model.model_copy(update={"dtype": "bfloat16"})})),
        path(rule=whole.train_lora["form"]),
    ]
    (inputs / "picks").write_text("two")
    others.append(path())
    assert len({first, *others}) == 7


def test_the_summary_is_of_the_first_and_last_tenth():
    losses = pd.DataFrame({"step": range(1, 21), "loss": [float(step) for step in range(1, 21)]})
    assert loop.summary(losses) == {"steps": 20, "first_loss": 1.5, "last_loss": 19.5}
    assert loop.summary(losses.head(3)) == {"steps": 3, "first_loss": 1.0, "last_loss": 3.0}


def test_the_rate_warms_up_and_stays_or_falls_to_zero():
    def rates(scheduler):
        settings = rule(steps=40, learning_rate=0.4, lr_scheduler=scheduler)
        return [loop.learning_rate(settings, step) for step in (0, 9, 20, 39)]

    assert rates("constant") == pytest.approx([0.04, 0.4, 0.4, 0.4])
    assert rates("linear") == pytest.approx([0.04, 0.4 * 31 / 40, 0.2, 0.01])
