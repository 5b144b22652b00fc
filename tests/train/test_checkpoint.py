"""A checkpoint is whole or ignored, and found only for what it was made from."""

from concurrent.futures import ThreadPoolExecutor

import drawn
import pytest
import torch
from toy import Killed, Run, kill

from versat2i.train import checkpoint as checkpoints
from versat2i.train.checkpoint import Checkpoint


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
