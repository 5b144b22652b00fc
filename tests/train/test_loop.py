"""The loss is the formula, every draw is a function of (seed, step), and a stopped run ends as an unbroken one."""

import os
import signal

import pandas as pd
import pytest
import torch
from toy import Killed, Run, Steep, examples, kill, rule

from versat2i.models import diffusion
from versat2i.settings.params import Model
from versat2i.train import loop


@pytest.fixture(scope="module")
def loaded(model_folder):
    return diffusion.load(Model(path=str(model_folder), dtype="float32", threads=1))


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


def sloping(run, bad):
    """A loss whose gradient is no number in the steps `bad`."""

    def loss(batch, generator):
        run.at(run.step)
        run.step += 1
        return Steep.apply(run.weight) if run.step in bad else run.weight.sum()

    return loss


def descended(run, bad):
    return loop.train([run.weight], sloping(run, bad), examples(), run.settings, 0, run.checkpoint, "run")


def test_a_step_whose_gradients_are_not_finite_is_skipped_and_counted(tmp_path):
    """On a slope of 1 a step is its rate: the optimizer's state has no trace of the skipped one."""
    run, bad = Run(tmp_path, steps=20, learning_rate=0.1), 15
    curve = descended(run, {bad})
    rates = [loop.learning_rate(run.settings, step) for step in range(20) if step + 1 != bad]
    torch.testing.assert_close(run.weight.detach(), torch.full((4,), -sum(rates)), atol=1e-5, rtol=0)
    assert curve["step"][curve["skipped"]].tolist() == [bad]
    assert loop.summary(curve)["skipped"] == 1 and loop.summary(curve)["steps"] == 20


def test_a_stopped_run_still_knows_which_steps_it_skipped(tmp_path):
    first = Run(tmp_path, kill(17), steps=20)
    with pytest.raises(Killed):
        descended(first, {3})
    assert loop.summary(descended(Run(tmp_path, steps=20), set()))["skipped"] == 1


def test_more_than_a_twentieth_of_skipped_steps_is_an_error_that_says_what_to_do(tmp_path):
    run = Run(tmp_path, steps=39)
    with pytest.raises(ValueError) as error:
        descended(run, {2, 7})
    assert str(error.value) == (
        "run: gradients are not finite in 2 of 7 steps; lower learning_rate, or where model.dtype or mixed_precision "
        "is float16, write bfloat16 or float32"
    )
    assert loop.summary(descended(Run(tmp_path / "longer", steps=40), {2, 7}))["skipped"] == 2


def test_the_summary_is_of_the_first_and_last_tenth():
    losses = pd.DataFrame({"step": range(1, 21), "loss": [float(step) for step in range(1, 21)], "skipped": False})
    assert loop.summary(losses) == {"steps": 20, "skipped": 0, "first_loss": 1.5, "last_loss": 19.5}
    assert loop.summary(losses.head(3)) == {"steps": 3, "skipped": 0, "first_loss": 1.0, "last_loss": 3.0}


def test_the_rate_warms_up_and_stays_or_falls_to_zero():
    def rates(scheduler):
        settings = rule(steps=40, learning_rate=0.4, lr_scheduler=scheduler)
        return [loop.learning_rate(settings, step) for step in (0, 9, 20, 39)]

    assert rates("constant") == pytest.approx([0.04, 0.4, 0.4, 0.4])
    assert rates("linear") == pytest.approx([0.04, 0.4 * 31 / 40, 0.2, 0.01])
