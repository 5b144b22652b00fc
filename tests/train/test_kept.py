"""What was trained once is found again, whole and under the same key only."""

import pandas as pd
import pytest

from versat2i.train import kept

LOSSES = pd.DataFrame({"step": [1, 2], "loss": [0.5, 0.25]})


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))


class Training:
    """Counts how often it is done, and its end."""

    def __init__(self, losses=LOSSES, error=None):
        self.losses, self.error, self.begun, self.ended = losses, error, 0, 0

    def __call__(self, out):
        self.begun += 1
        (out / "weights.bin").write_bytes(b"weights")
        if self.error:
            raise self.error
        return {"steps": len(self.losses)}, self.losses, self.end

    def end(self):
        self.ended += 1


def test_what_was_trained_is_found_with_its_metrics_and_losses():
    training = Training()
    first, second = (kept.make("mix", "key", training) for _ in range(2))
    assert (first.new, second.new) == (True, False)
    assert (training.begun, training.ended) == (1, 1)
    assert (second.adapter / "weights.bin").read_bytes() == b"weights"
    assert second.metrics == {"steps": 2}
    pd.testing.assert_frame_equal(second.losses, LOSSES)
    assert first.source == "" and "work store" in second.source


def test_a_merge_has_no_losses():
    training = Training(losses=LOSSES.iloc[:0])
    assert [len(kept.make("mix", "key", training).losses) for _ in range(2)] == [0, 0]
    assert training.begun == 1


@pytest.mark.parametrize("stage, key", [("mix", "another"), ("train_lora", "key")])
def test_another_key_or_stage_trains(stage, key):
    kept.make("mix", "key", Training())
    assert kept.make(stage, key, Training()).new


def test_damage_trains_again():
    folder = kept.make("mix", "key", Training()).adapter
    (folder / "weights.bin").write_bytes(b"weight?")
    assert kept.make("mix", "key", Training()).new


def test_what_fails_is_not_found_and_does_not_end():
    failing = Training(error=ValueError("the loss is nan"))
    with pytest.raises(ValueError, match="the loss is nan"):
        kept.make("mix", "key", failing)
    assert failing.ended == 0
    assert kept.make("mix", "key", Training()).new
