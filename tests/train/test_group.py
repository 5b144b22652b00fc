"""Ranks train as one device does: the same draws, the same gradient to rounding, the same steps skipped."""

import drawn
import pytest
import torch
import toy
from learned import All, Learning, Toy

from versat2i.settings.compute import CPU, Compute
from versat2i.settings.params import Model
from versat2i.settings.training import Gates, TrainLora
from versat2i.train import group
from versat2i.train.checkpoint import Checkpoint

TWO = Compute(device="cpu", devices=2)
LORA = drawn.LORA | {"steps": 20, "batch_size": 5}
GATES = drawn.TRAINING | drawn.GATES | {key: LORA[key] for key in drawn.LORA.keys() - {"rank", "alpha", "targets"}}
RULES = {
    "sft": TrainLora(**LORA | {"min_snr": 5.0, "lr_scheduler": "linear"}),
    "contrast": TrainLora(**LORA | {"objective": "contrast"}),
    "gates": Gates(**GATES | {"balance": 0.5}),
    "gates by contrast": Gates(**GATES | {"balance": 0.5, "scope": "image", "objective": "contrast"}),
}
MICRO = {"sft": None, "contrast": 2, "gates": None, "gates by contrast": 1}


@pytest.fixture(scope="module")
def alone(model_folder, tmp_path_factory):
    """What one device makes of each rule, and the trainings."""
    folder = tmp_path_factory.mktemp("alone")
    model = Model(path=str(model_folder), dtype="float32", threads=1)
    selected = drawn.selected(folder / "selected" / "colour")
    trainings = {name: Learning(model, selected, rule) for name, rule in RULES.items()}
    found = All(tuple(trainings.values()))(folder)
    return trainings, dict(zip(trainings, found, strict=True))


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory):
    """What two ranks make of them, some in micro-batches."""
    trainings = [Learning(each.model, each.selected, each.rule, MICRO[name]) for name, each in alone[0].items()]
    found = group.spread(All(tuple(trainings)), TWO)(tmp_path_factory.mktemp("together"))
    return dict(zip(RULES, found, strict=True))


def same(found, expected):
    """The first step's gradient to 1e-5; after 20 steps one direction and the losses."""
    assert expected[0].norm() > 0 and len(expected[2]) == 20
    assert (found[0] - expected[0]).norm() <= 1e-5 * expected[0].norm()
    assert torch.cosine_similarity(found[1], expected[1], dim=0) > 0.999
    assert found[2] == pytest.approx(expected[2], rel=1e-3)


@pytest.mark.parametrize("name", RULES)
def test_two_ranks_train_as_one_device(alone, together, name):
    same(together[name], alone[1][name])


@pytest.mark.parametrize("name", ["contrast", "gates"])
def test_micro_batches_add_up_to_the_batch(alone, tmp_path, name):
    training = alone[0][name]
    same(Learning(training.model, training.selected, training.rule, 2)(tmp_path), alone[1][name])


@pytest.mark.parametrize(
    ("amount", "size", "rows"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (3, 3, [1, 1, 1]), (7, 3, [2, 2, 3])]
)
def test_every_row_has_a_rank(amount, size, rows):
    found = [group.Group(number, size).rows(amount) for number in range(size)]
    assert [len(each) for each in found] == rows
    assert [row for each in found for row in each] == list(range(amount))


def test_one_device_is_this_process():
    work = Toy()
    assert group.spread(work, CPU) is work and group.here() == group.ALONE


def test_more_devices_than_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(group, "here", lambda: group.Group(0, 4))
    with pytest.raises(ValueError) as error:
        toy.Run(tmp_path, batch_size=3).train()
    assert str(error.value) == (
        "run: batch_size is 3, compute.yaml: devices is 4: each device needs a row of a batch. Set devices to at most 3"
    )


def test_a_training_whose_ranks_are_stopped_and_killed_ends_as_one_that_is_not(tmp_path):
    """Rank 1 is told to stop in step 5, which both do, and killed in step 13; its gradient of step 20 is no number."""
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=r"^process 2 of 2 was killed by signal 9.* go on from the last checkpoint"):
        group.spread(Toy(1, {5: "stop", 13: "kill"}), TWO)(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["run.pt", "stopped-0", "stopped-1"]
    assert len(Checkpoint(folder / "run.pt").load()["losses"]) == 12
    weight, losses, skipped = group.spread(Toy(1, {5: "kill", 20: "steep"}), TWO)(folder)
    unbroken = Toy(0, {20: "steep"})(tmp_path / "alone")
    torch.testing.assert_close(weight, unbroken[0], atol=1e-5, rtol=0)
    assert losses == pytest.approx(unbroken[1], rel=1e-5)
    assert [step for step, skip in enumerate(skipped) if skip] == [20] and skipped == unbroken[2]
