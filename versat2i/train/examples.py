"""Training examples: the picks of selected sets, and the batch of each step."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from versat2i import seeds
from versat2i.formats.shards import Candidate
from versat2i.models.diffusion import Backbone, Embeddings
from versat2i.select import chosen
from versat2i.settings.training import Descent


@dataclass(frozen=True)
class Rows:
    """Which rows of a batch examples are: `first` to before `last`, of `whole`."""

    first: int
    last: int
    whole: int

    def of(self, drawn: Tensor) -> Tensor:
        """Take these rows of what was drawn for the whole batch, so that they are the same in any part of it."""
        return drawn[self.first : self.last]


@dataclass(frozen=True)
class Examples:
    """Training examples.

    Attributes:
        latents: of the picks, ``[amount, channels, height, width]``; with their rivals beside them for
            `losses.contrast_loss`, ``[amount, 2, channels, height, width]``.
        prompts: their prompt embeddings.
        empty: those of the empty prompt, one row.
        weights: how much each counts, ``[amount]``, 1 on average.
        part: which rows of a batch they are; None: no part of one.
    """

    latents: Tensor
    prompts: Embeddings
    empty: Embeddings
    weights: Tensor
    part: Rows | None = None

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def rows(self) -> Rows:
        """Which rows of a batch they are."""
        return self.part or Rows(0, len(self), len(self))

    def cut(self, first: int, last: int) -> "Examples":
        """Cut some rows out of this batch."""
        rows = slice(first, last)
        part = Rows(first, last, len(self))
        return Examples(self.latents[rows], self.prompts[rows], self.empty, self.weights[rows], part)


def batches(
    examples: Examples, settings: Descent, seed: int, first: int
) -> Iterator[tuple[int, Examples, torch.Generator]]:
    """The batch of each step from `first` on, a function of (seed, step) alone.

    Every epoch is a permutation of the examples, so none is seen twice before all are seen once.

    Yields:
        step, examples (some prompt embeddings replaced by the empty prompt's), generator for the rest.
    """
    for step in range(first, settings.steps):
        generator = torch.Generator().manual_seed(seeds.stable_seed(seed, "step", step))
        rows = _rows(len(examples), settings.batch_size, seed, step)
        dropped = torch.rand(len(rows), generator=generator) < settings.caption_dropout
        prompts = examples.prompts[rows].replaced(dropped, examples.empty)
        yield step, Examples(examples.latents[rows], prompts, examples.empty, examples.weights[rows]), generator


def _rows(amount: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Which examples a step sees."""
    first = step * batch_size
    rows = []
    for epoch in range(first // amount, (first + batch_size - 1) // amount + 1):
        generator = torch.Generator().manual_seed(seeds.stable_seed(seed, "epoch", epoch))
        order = torch.randperm(amount, generator=generator)
        low, high = max(0, first - epoch * amount), min(amount, first + batch_size - epoch * amount)
        rows.append(order[low:high])
    return torch.cat(rows)


def of(model: Backbone, selected: list[Path], objective: str) -> Examples:
    """The union of selected sets as training examples; each prompt is embedded once.

    Latents are used as they were drawn: no round trip through the autoencoder blurs them.

    Args:
        model: embeds the prompts.
        selected: folders of selected images.
        objective: `contrast` puts each pick's rival beside it, leaves out the picks that have none, and weights each
            pair by its gap (`_weights`).
    """
    sets = [chosen.load(folder) for folder in selected]
    texts = pd.concat([picks["text"] for picks, _ in sets], ignore_index=True)
    codes, distinct = pd.factorize(texts)
    latents = _latents([candidate for _, candidates in sets for candidate in candidates])
    prompts, empty = model.embed(list(distinct))[torch.from_numpy(codes)], model.embed([""])
    model.denoiser.to(model.device)  # for the optimizer's state: with `cpu_offload` it waits elsewhere
    if objective == "sft":
        return Examples(latents, prompts, empty, torch.ones(len(latents)))
    rivals = _latents([rival for folder in selected for rival in chosen.load_rivals(folder)])
    gaps = [torch.from_numpy(picks["gap"].to_numpy(np.float32)) for picks, _ in sets]
    if not any(gap.any() for gap in gaps):
        raise ValueError(
            f"{', '.join(str(folder) for folder in selected)}: no pick has a worse candidate beside it, so there is no "
            "contrast to learn from. Draw more candidates, or use objective: sft"
        )
    weights = torch.cat([_weights(gap) for gap in gaps])
    worse = weights > 0
    return Examples(torch.stack([latents, rivals], dim=1)[worse], prompts[worse], empty, weights[worse])


def _weights(gaps: Tensor) -> Tensor:
    """Weights of an aspect's pairs: ``min(gap, median)`` over its mean, of the gaps above 0; 0 stays 0.

    Small gaps are mostly the evaluator's noise; beyond the median a gap is no better a teacher, and a few failed images
    would have most of the weight. Divided by the mean, aspects with scores of any unit count alike.
    """
    worse = gaps > 0
    if not worse.any():
        return gaps
    kept = gaps.clamp(max=gaps[worse].median())
    return kept / kept[worse].mean()


def _latents(candidates: list[Candidate]) -> Tensor:
    return torch.from_numpy(np.stack([candidate.latents for candidate in candidates]))
