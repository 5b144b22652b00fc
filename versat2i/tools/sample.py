"""Draw a few images by hand: any variant, the base beside it, with the noise of the pipeline's own seeds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from versat2i.adapters import loading
from versat2i.generate.painter import Painter
from versat2i.generate.plan import Shard
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone
from versat2i.prompts.records import prompt_id
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model, Sampling

BASE = "base"


def load(model: Model, adapter: Path | None, weights: dict[str, float], machine: Compute) -> Backbone:
    """The base model, with an adapter in place if one is given.

    Args:
        model: the base model.
        adapter: folder of an expert, a merge or a mixture; None: the base itself.
        weights: experts' weights in place of a mixture's gates (see `mixture.Mixture.override`); empty:
            the mixture keeps its gates.
        machine: how and where to draw.

    Raises:
        ValueError: weights are given, but there is no mixture whose gates they could replace.
    """
    loaded = diffusion.load(model, machine)
    mixed = None if adapter is None else loading.put(loaded, adapter)
    if weights and mixed is None:
        raise ValueError(f"weights are for a mixture's gates; {adapter or BASE} is none. Leave them out")
    if weights and mixed is not None:
        mixed.override(weights)
    return loaded


def draw(
    model: Backbone, texts: list[str], per_prompt: int, seed: int, sampling: Sampling
) -> Iterator[NDArray[np.uint8]]:
    """Images of prompts, those of one prompt after another.

    Image k of a prompt starts from ``stable_seed(seed, prompt_id, k)``, as in the stages: the same
    seed gives the images that a run with this seed in params evaluates.

    Args:
        model: from `load`.
        texts: the prompts.
        per_prompt: images of each.
        seed: of the run.
        sampling: steps, guidance scale, batch size.

    Yields:
        ``uint8 [height, width, 3]``, one an image: prompt 0 with k = 0, 1, ..., prompt 1, ...
    """
    shown = {prompt_id(text): text for text in texts}
    shard = Shard("samples", tuple((prompt_id(text), k) for text in texts for k in range(per_prompt)), shown)
    for candidate in Painter(model, sampling, seed).candidates(shard):
        yield candidate.image
