"""Score shards of images with a reward, shard by shard, resumable."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from versat2i.formats import shards, tables
from versat2i.rewards.common import plugins, registry
from versat2i.rewards.common.base import FLAGGED, Reward, check
from versat2i.settings.params import Reward as Evaluator
from versat2i.work import files, fingerprint, store
from versat2i.work.failures import is_out_of_memory

BATCH = 64  # images held at a time
TRIED = 4  # images that an evaluator fails on before it is taken to fail on any


def _batches(path: Path) -> Iterator[list[shards.Candidate]]:
    candidates = shards.read(path)
    while batch := list(islice(candidates, BATCH)):
        first = batch[0].image.shape
        for candidate in batch:
            if candidate.image.shape != first:
                found = f"is {list(candidate.image.shape)}, {batch[0].member} is {list(first)}"
                raise ValueError(f"{path}: {candidate.member} {found}; images of one size are expected")
        yield batch


def _score_batch(
    reward: Reward, batch: list[shards.Candidate], texts: dict[str, str], questions: pd.DataFrame
) -> pd.DataFrame:
    """One row (kind `scores`) a candidate of the batch."""
    frame = pd.DataFrame({"prompt_id": [c.prompt_id for c in batch], "k": [c.k for c in batch]})
    empty: dict[str, Any] = {"score": np.nan, "merit": np.nan, "abstained": FLAGGED, "details": None}
    frame = frame.assign(text=frame["prompt_id"].map(texts), **empty)
    shown = [row for row, candidate in enumerate(batch) if not candidate.flagged]
    if not shown:
        return frame
    asked = frame.loc[shown, ["prompt_id", "k", "text"]].reset_index(drop=True)
    images = [batch[row].image for row in shown]
    try:
        judged = _judged(reward, images, asked, questions)
    except Exception as error:  # of an evaluator, which may be anybody's
        if is_out_of_memory(error):
            raise
        raise _explained(reward, images, asked, questions, error) from error
    frame.loc[shown, judged.columns] = judged.to_numpy()
    frame = frame.astype({"score": np.float64})
    return frame.assign(merit=frame["score"] if reward.higher_is_better else -frame["score"])


def _judged(
    reward: Reward, images: list[NDArray[np.uint8]], frame: pd.DataFrame, questions: pd.DataFrame
) -> pd.DataFrame:
    """``score, abstained, details`` of each image."""
    scores = check(reward, reward.score(np.stack(images), frame, questions), frame)
    details = [None if d is None else json.dumps(d, sort_keys=True, allow_nan=False) for d in scores.details]
    return pd.DataFrame({"score": scores.values, "abstained": scores.reasons, "details": details}, dtype=object)


def _explained(
    reward: Reward, images: list[NDArray[np.uint8]], frame: pd.DataFrame, questions: pd.DataFrame, error: Exception
) -> ValueError:
    """The error of a batch with the image that it is about, where one fails and not all do."""
    failed: list[str] = []
    passed = len(images) == 1
    for place, image in enumerate(images):
        row = frame.iloc[place]
        try:
            _judged(reward, [image], frame.iloc[[place]], questions)
            passed = True
        except Exception as alone:
            problem = _described(alone)
            named = f"image {row['k']} of prompt {row['prompt_id']} ({row['text']!r})"
            failed.append(problem if str(row["prompt_id"]) in problem else f"{reward.name}: {named}: {problem}")
        if (passed and failed) or len(failed) == TRIED:
            break
    return ValueError(failed[0] if passed and failed else f"{reward.name}: {_described(error)}")


def _described(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


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


def expect_all(scores: pd.DataFrame, texts: dict[str, str], folder: Path) -> None:
    """Raise a ValueError if a prompt has no image: a shard is missing, and its prompts would never be picked."""
    if missing := sorted(texts.keys() - set(scores["prompt_id"])):
        raise ValueError(
            f"{folder}: has no image of {len(missing)} of {len(texts)} prompts (the first is {missing[0]}, "
            f"{texts[missing[0]]!r}). Run `dvc repro generate` or `dvc pull`"
        )


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
        self.reward = registry.from_params(recipe.aspect, recipe.evaluator)
        self.store = store.Store(f"score@{recipe.aspect}")
        # the code and the weights of the evaluator and of its parts: now, since a model that it loads later is not
        # its code
        parts = (self.reward, *vars(self.reward).values())
        self.modules = {type(part).__module__ for part in parts}
        self.plugins = plugins.used_by({*self.modules, *getattr(self.reward, "modules", ())})
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
        key = fingerprint.of(
            [__name__, *self.modules],
            evaluator=self.recipe.evaluator.model_dump(),
            plugins=self.plugins,
            weights=self.weights,
            shard=files.file_hash(path),
            texts={p: self.recipe.texts[p] for p in sorted(prompt_ids)},
            questions=questions.to_json(orient="records"),
        )
        found = self.store.find(key)
        folder = found or self.store.make(key, lambda out: self._write(path, questions, out))
        return tables.read("scores", folder / "scores.parquet"), found is None

    def _write(self, path: Path, questions: pd.DataFrame, out: Path) -> None:
        scores = score_shard(self.reward, path, self.recipe.texts, questions)
        tables.write("scores", scores, out / "scores.parquet")
