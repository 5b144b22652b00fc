"""Samples of a model under training change nothing of it."""

import drawn

from versat2i.models import diffusion
from versat2i.train import examples, preview


def test_samples_are_the_same_each_time_and_leave_the_model_as_it_was(model, tmp_path):
    loaded = diffusion.load(model)
    data = examples.of(loaded, [drawn.selected(tmp_path / "selected")], "sft")
    loaded.denoiser.train()
    first, second = (preview.samples(loaded, data) for _ in range(2))
    assert first.shape == (4 * 64, 2 * 64, 3) and (first == second).all() and loaded.denoiser.training
