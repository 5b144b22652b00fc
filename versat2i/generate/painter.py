"""Draw candidates shard by shard: batched across prompts, one generator an image, resumable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from versat2i.formats import shards
from versat2i.generate import safety
from versat2i.generate.plan import Key, Shard
from versat2i.models import diffusion
from versat2i.models.diffusion import Backbone, Embeddings
from versat2i.seeds import stable_seed
from versat2i.settings.compute import Compute
from versat2i.settings.params import Model, Safety, Sampling
from versat2i.work import fingerprint, overlap, pool
from versat2i.work import store as work_store


class Painter:
    """Draws shards with one model, keeping the embeddings of the last block of prompts."""

    def __init__(self, model: Backbone, sampling: Sampling, seed: int, checker: safety.Checker | None = None) -> None:
        self.model, self.sampling, self.seed, self.checker = model, sampling, seed, checker
        self.empty = model.embed([""])
        self.texts: list[str] = []
        self.embeddings = self.empty

    def _embed(self, texts: list[str]) -> Embeddings:
        """Embeddings of a block's prompts: made once, though the block has a shard for each few k."""
        if texts != self.texts:
            self.texts, self.embeddings = texts, self.model.embed(texts)
        return self.embeddings

    def candidates(self, shard: Shard) -> Iterator[shards.Candidate]:
        """The shard's candidates, in order, as `batches` draws them."""
        for batch in self.batches(shard):
            yield from batch

    def batches(self, shard: Shard) -> Iterator[list[shards.Candidate]]:
        """The shard's candidates, in order, as many at a time as are drawn at once.

        The noise of candidate k of a prompt comes from ``stable_seed(seed, prompt_id, k)`` alone.

        Raises:
            ValueError: the model gave latents that are not finite; the prompt is named.
        """
        embeddings = self._embed(list(shard.texts.values()))
        row = {prompt_id: i for i, prompt_id in enumerate(shard.texts)}
        size = self.sampling.batch_size
        for start in range(0, len(shard.keys), size):
            keys = shard.keys[start : start + size]
            batch_seeds = [stable_seed(self.seed, prompt_id, k) for prompt_id, k in keys]
            batch = embeddings[torch.tensor([row[prompt_id] for prompt_id, _ in keys])]
            sampling = self.sampling
            latents = self.model.draw(
                batch, self.empty, batch_seeds, sampling.steps, sampling.guidance_scale, sampling.size
            )
            _check_finite(latents, keys, shard.texts)
            images = self.model.decode(latents)
            flagged = [False] * len(keys) if self.checker is None else self.checker(images)
            images[flagged], latents[flagged] = 0, 0
            yield [
                shards.Candidate(prompt_id, k, seed, image, _storable(drawn), flag)
                for (prompt_id, k), seed, image, drawn, flag in zip(
                    keys, batch_seeds, images, latents, flagged, strict=True
                )
            ]


def _storable(latents: torch.Tensor) -> NDArray[np.floating]:
    """Convert a tensor to an array; numpy has no bfloat16, float32 holds it exactly."""
    return (latents.float() if latents.dtype == torch.bfloat16 else latents).numpy()


def _check_finite(latents: torch.Tensor, keys: Sequence[Key], texts: dict[str, str]) -> None:
    bad = ~torch.isfinite(latents).flatten(1).all(1)
    if bad.any():
        prompt_id, k = keys[int(bad.nonzero()[0])]
        raise ValueError(
            f"the model gave latents that are not finite for candidate {k} of {texts[prompt_id]!r}; "
            "try model.dtype: float32"
        )


class Preparation(Protocol):
    """Something done to the base model before it draws, e.g. `loading.Put`."""

    def __call__(self, model: Backbone) -> None: ...

    def identity(self) -> str:
        """Hash of what it puts into the model."""
        ...


@dataclass(frozen=True)
class Recipe:
    """Everything but the shard that a shard's bytes depend on; makes a worker for `compute.run`.

    Attributes:
        model: the base model.
        prepare: what is done to it first, or None.
        sampling: steps, guidance scale, batch size.
        seed: of all candidates.
        machine: how and where to draw; not part of the result.
        store: the stage's name in the work store.
        safety: `drop` has the model's own checker look at every image.
    """

    model: Model
    prepare: Preparation | None
    sampling: Sampling
    seed: int
    machine: Compute
    store: str
    safety: Safety = "off"

    def __call__(self) -> "Worker":
        return Worker(self)


Made = tuple[Shard, Path, bool]


def written(
    store: work_store.Store, key: str, shard: Shard, batches: Iterator[list[shards.Candidate]]
) -> overlap.Handover[list[shards.Candidate], Made]:
    """Draw a shard's batches, each while threads encode and write the one before; the last may still be written."""

    def keep(given: Iterator[list[shards.Candidate]]) -> Made:
        made = store.make(key, lambda folder: shards.write_batches(folder / shard.name, given))
        return shard, made, True

    with overlap.Handover(keep) as handover:
        for batch in batches:
            handover.put(batch)
    return handover


class Worker:
    """Draws shards, or finds those that were drawn before; the model is loaded when first needed."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.store = work_store.Store(recipe.store)
        self.painter: Painter | None = None
        self.modules = [__name__, *([type(recipe.prepare).__module__] if recipe.prepare else [])]
        self.identity = {
            "model": diffusion.identity(recipe.model),
            **recipe.model.model_dump(include={"dtype", "mixed_precision", "threads", "vae_tiling"}),
            "prepared": recipe.prepare.identity() if recipe.prepare else None,
            "sampling": {name: getattr(recipe.sampling, name) for name in Sampling.model_fields},
            "seed": recipe.seed,
            "safety": recipe.safety,
        }

    def _paint(self, shard: Shard) -> Iterator[list[shards.Candidate]]:
        if self.painter is None:
            dropping = self.recipe.safety == "drop"
            checker = safety.load(self.recipe.model, self.recipe.machine.torch_device()) if dropping else None
            model = diffusion.load(self.recipe.model, self.recipe.machine)
            if self.recipe.prepare is not None:
                self.recipe.prepare(model)
            self.painter = Painter(model, self.recipe.sampling, self.recipe.seed, checker)
        return self.painter.batches(shard)

    def __call__(self, shard: Shard) -> Made | pool.Pending[Made]:
        """The shard, the folder in the store that holds it, and whether it had to be drawn.

        A batch is drawn while the one before is encoded and written in threads; the next shard can be begun while the
        last of this one is.
        """
        key = fingerprint.of(self.modules, **self.identity, keys=shard.keys, texts=shard.texts, name=shard.name)
        found = self.store.find(key)
        if found is not None:
            return shard, found, False

        return written(self.store, key, shard, self._paint(shard))
