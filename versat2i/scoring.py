"""Score shards of images with a reward, shard by shard, resumable."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from versat2i import rewards, shards, tables, work
from versat2i.params import Reward as Evaluator
from versat2i.rewards.base import FLAGGED, Reward, check

BATCH = 64  # images held at a time


def _batches(path: Path) -> Iterator[list[shards.Candidate]]:
    candidates = shards.read(path)
    while batch := list(islice(candidates, BATCH)):
        yield batch


def _score_batch(
    reward: Reward, batch: list[shards.Candidate], texts: dict[str, str], questions: pd.DataFrame
) -> pd.DataFrame:
    """One row (kind `scores`) a candidate of the batch."""
    frame = pd.DataFrame({"prompt_id": [c.prompt_id for c in batch], "k": [c.k for c in batch]})
    frame = frame.assign(text=frame["prompt_id"].map(texts), score=np.nan, abstained=FLAGGED, details=None)
    shown = [row for row, candidate in enumerate(batch) if not candidate.flagged]
    if not shown:
        return frame
    asked = frame.loc[shown, ["prompt_id", "k", "text"]].reset_index(drop=True)
    images = np.stack([batch[row].image for row in shown])
    scores = check(reward, reward.score(images, asked, questions), asked)
    details = [None if d is None else json.dumps(d, sort_keys=True) for d in scores.details]
    judged = pd.DataFrame({"score": scores.values, "abstained": scores.reasons, "details": details}, dtype=object)
    frame.loc[shown, judged.columns] = judged.to_numpy()
    return frame.astype({"score": np.float64})


def score_shard(reward: Reward, path: Path, texts: dict[str, str], questions: pd.DataFrame) -> pd.DataFrame:
    """Scores (kind `scores`) of every candidate of a shard.

    Args:
        reward: the evaluator.
        path: the shard.
        texts: prompt_id -> text.
        questions: the questions table.
    """
    frames = [_score_batch(reward, batch, texts, questions) for batch in _batches(path)]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Recipe:
    """What a shard's scores depend on besides the shard; makes a worker for `compute.run`."""

    aspect: str
    evaluator: Evaluator
    texts: dict[str, str]
    questions: pd.DataFrame

    def __call__(self) -> "Worker":
        return Worker(self)


class Worker:
    """Scores shards, or finds their scores of an earlier run."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.reward = rewards.from_params(recipe.aspect, recipe.evaluator)
        self.store = work.Store(f"score@{recipe.aspect}")
        # the code and the weights of the evaluator and of its parts: now, since a model that it loads later is not
        # its code
        parts = (self.reward, *vars(self.reward).values())
        self.modules = {type(part).__module__ for part in parts}
        self.weights = [getattr(part, "identity", None) for part in parts]

    def __call__(self, path: Path) -> tuple[pd.DataFrame, bool]:
        """Scores (kind `scores`) of a shard, and whether they had to be made."""
        index = tables.read("index", path.with_suffix(".parquet"))
        prompt_ids = set(index["prompt_id"])
        if strangers := sorted(prompt_ids - self.recipe.texts.keys()):
            raise ValueError(
                f"{path}: prompt {strangers[0]} is not in the prompt table. The images are of other prompts: "
                "run `dvc repro` to draw them again"
            )
        questions = self.recipe.questions[self.recipe.questions["prompt_id"].isin(prompt_ids)]
        key = work.fingerprint(
            [__name__, *self.modules],
            evaluator=self.recipe.evaluator.model_dump(),
            weights=self.weights,
            shard=work.file_hash(path),
            texts={p: self.recipe.texts[p] for p in sorted(prompt_ids)},
            questions=questions.to_json(orient="records"),
        )
        found = self.store.find(key)
        folder = found or self.store.make(key, lambda out: self._write(path, questions, out))
        return tables.read("scores", folder / "scores.parquet"), found is None

    def _write(self, path: Path, questions: pd.DataFrame, out: Path) -> None:
        scores = score_shard(self.reward, path, self.recipe.texts, questions)
        tables.write("scores", scores, out / "scores.parquet")
