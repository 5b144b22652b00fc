"""Examples keep what belongs together, and every batch is a function of (seed, step)."""

import drawn
import numpy as np
import pytest
import torch
from toy import examples, rule

from versat2i.formats import tables
from versat2i.models import diffusion
from versat2i.select import chosen
from versat2i.train import examples as training_examples


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


def test_examples_are_the_union_in_order_each_with_its_prompt(model, tmp_path):
    texts = {"p7": "a green star", "p8": "two pink hearts"}
    folders = [drawn.selected(tmp_path / "a"), drawn.selected(tmp_path / "b", texts, 1)]
    loaded = diffusion.load(model)
    data = training_examples.of(loaded, folders, "sft")
    keys = [(p, k) for p in drawn.TEXTS for k in range(2)] + [(p, 0) for p in texts]
    assert len(data) == len(keys) == 8
    for row, (prompt_id, k) in enumerate(keys):
        assert np.array_equal(data.latents[row], drawn.candidate(prompt_id, k).latents)
        expected = loaded.embed([(drawn.TEXTS | texts)[prompt_id]])
        torch.testing.assert_close(data.prompts.hidden[row], expected.hidden[0])
        assert torch.equal(data.prompts.mask[row], expected.mask[0])
    assert data.empty.mask.sum() == 2


def test_examples_of_a_contrast_are_pairs_and_leave_out_picks_without_a_rival(model, tmp_path):
    """In a selected set of `drawn`, the rival of every pick is its prompt's candidate 0: that one has none."""
    loaded = diffusion.load(model)
    data = training_examples.of(loaded, [drawn.selected(tmp_path / "a")], "contrast")
    assert len(data) == len(drawn.TEXTS)
    for row, (prompt_id, text) in enumerate(drawn.TEXTS.items()):
        for side, k in enumerate((1, 0)):
            assert np.array_equal(data.latents[row, side], drawn.candidate(prompt_id, k).latents)
        torch.testing.assert_close(data.prompts.hidden[row], loaded.embed([text]).hidden[0])


def test_pairs_count_by_their_gap_up_to_the_median_and_aspects_alike(model, tmp_path):
    """Of 2n gaps, one of 1, n - 1 of 3 and n of 9, the (lower) median is 3, the mean up to there 3 - 1/n."""
    folders = [drawn.selected(tmp_path / name, per_prompt=3) for name in "ab"]
    count = len(drawn.TEXTS)
    gaps = np.array([1.0, 9.0, *[3.0, 9.0] * (count - 1)])
    for folder, unit in zip(folders, (1, 100), strict=True):
        picks = tables.read("picks", folder / chosen.PICKS)
        picks.loc[picks["gap"] > 0, "gap"] = unit * gaps
        tables.write("picks", picks, folder / chosen.PICKS)
    data = training_examples.of(diffusion.load(model), folders, "contrast")
    expected = torch.tensor([1.0, *[3.0] * (2 * count - 1)]) / (3 - 1 / count)
    torch.testing.assert_close(data.weights, expected.repeat(2))


def test_a_contrast_without_any_rival_is_an_error(model, tmp_path):
    folder = drawn.selected(tmp_path / "a", per_prompt=1)
    with pytest.raises(ValueError, match=r"no pick has a worse candidate.*objective: sft"):
        training_examples.of(diffusion.load(model), [folder], "contrast")
