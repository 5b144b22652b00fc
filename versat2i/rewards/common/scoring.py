"""Score shards of images with a reward, shard by shard, resumable."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from versat2i.formats import shards, tables
from versat2i.rewards.common import plugins, registry
from versat2i.rewards.common.base import FLAGGED, Prompt, Reward, is_grouped, judged, weights_of
from versat2i.settings.compute import CPU, Compute
from versat2i.settings.params import Reward as Evaluator
from versat2i.work import files, fingerprint, store
from versat2i.work.failures import is_out_of_memory

BATCH = 64  # images held at a time, and as many that are decoded ahead
Unit = tuple[Path, ...]  # shards whose candidates are scored together
TRIED = 4  # images that an evaluator fails on before it is taken to fail on any


def prompts_of(texts: dict[str, str], questions: pd.DataFrame) -> dict[str, Prompt]:
    """prompt_id -> what evaluators are told, from the tables of prompts and questions."""
    rows = questions.assign(choices=questions["choices"].map(list), parent_ids=questions["parent_ids"].map(list)).drop(
        columns="prompt_id"
    )
    asked: dict[str, list[dict[str, Any]]] = {}
    for prompt_id, row in zip(questions["prompt_id"], rows.to_dict("records"), strict=True):
        asked.setdefault(prompt_id, []).append(row)  # type: ignore[arg-type]
    return {prompt_id: Prompt(prompt_id, text, asked.get(prompt_id, [])) for prompt_id, text in texts.items()}


def units(folder: Path, reward: Reward) -> list[Unit]:
    """The shards of a folder as units of work: one by one, or for a grouped evaluator those with the same prompts."""
    paths = shards.paths(folder)
    if not is_grouped(reward):
        return [(path,) for path in paths]
    found: dict[frozenset[str], list[Path]] = {}
    for path in paths:
        prompts = frozenset(tables.read("index", path.with_suffix(".parquet"))["prompt_id"])
        found.setdefault(prompts, []).append(path)
    return [tuple(same) for same in found.values()]


def _batches(unit: Unit, grouped: bool) -> Iterator[list[shards.Candidate]]:
    """Candidates some at a time; for a grouped evaluator those of one prompt. The next are decoded meanwhile."""
    read = [shards.read(path, ahead=-(-BATCH // len(unit))) for path in unit]
    candidates = heapq.merge(*read, key=lambda candidate: (candidate.prompt_id, candidate.k))
    if grouped:
        parts: Iterator[list[shards.Candidate]] = (
            list(group) for _, group in groupby(candidates, key=lambda candidate: candidate.prompt_id)
        )
    else:
        parts = iter(lambda: list(islice(candidates, BATCH)), [])
    for batch in parts:
        first = batch[0].image.shape
        for candidate in batch:
            if candidate.image.shape != first:
                found = f"is {list(candidate.image.shape)}, {batch[0].member} is {list(first)}"
                raise ValueError(f"{unit[0]}: {candidate.member} {found}; images of one size are expected")
        yield batch


def _score_batch(reward: Reward, batch: list[shards.Candidate], prompts: dict[str, Prompt]) -> list[tuple]:
    """One row (kind `scores`) a candidate of the batch."""
    shown = [candidate for candidate in batch if not candidate.flagged]
    try:
        verdicts = iter(_rows(reward, shown, prompts))
    except Exception as error:  # of an evaluator, which may be anybody's
        if is_out_of_memory(_cause(error)):
            raise _cause(error) from None
        raise _explained(reward, shown, prompts, error) from error
    empty = (np.nan, np.nan, FLAGGED, None)
    return [(c.prompt_id, c.k, *(empty if c.flagged else next(verdicts))) for c in batch]


def _rows(reward: Reward, shown: list[shards.Candidate], prompts: dict[str, Prompt]) -> list[tuple]:
    """``score, merit, abstained, details`` of each image."""
    if not shown:
        return []
    images, asked = np.stack([c.image for c in shown]), [prompts[c.prompt_id] for c in shown]
    rows: list[tuple] = []
    for verdict in judged(reward, images, asked, [_name(c, prompts) for c in shown]):
        if isinstance(verdict, str):
            rows.append((np.nan, np.nan, verdict, None))
            continue
        details = getattr(verdict, "details", None)
        told = None if details is None else json.dumps(details, sort_keys=True, allow_nan=False)
        rows.append((float(verdict), float(verdict) if reward.higher_is_better else -float(verdict), None, told))
    return rows


def _name(candidate: shards.Candidate, prompts: dict[str, Prompt]) -> str:
    return f"image {candidate.k} of prompt {candidate.prompt_id} ({prompts[candidate.prompt_id].text!r})"


def _explained(
    reward: Reward, shown: list[shards.Candidate], prompts: dict[str, Prompt], error: Exception
) -> ValueError:
    """Re-score images one by one to name the one that fails; if all fail, the batch's own error.

    A grouped evaluator may need its group, so its error names the prompt.
    """
    if is_grouped(reward):
        whose = shown[0].prompt_id
        named = "" if whose in _described(error) else f"prompt {whose} ({prompts[whose].text!r}): "
        return ValueError(f"{reward.name}: {named}{_described(error)}")
    failed: list[str] = []
    passed = len(shown) == 1
    for candidate in shown:
        try:
            _rows(reward, [candidate], prompts)
            passed = True
        except Exception as alone:
            problem = _described(alone)
            named = f"{reward.name}: {_name(candidate, prompts)}: {problem}"
            failed.append(problem if candidate.prompt_id in problem else named)
        if (passed and failed) or len(failed) == TRIED:
            break
    return ValueError(failed[0] if passed and failed else f"{reward.name}: {_described(error)}")


def _cause(error: Exception) -> Exception:
    """The evaluator's own error, which `judged` gives its name."""
    return error.__cause__ if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception) else error


def _described(error: Exception) -> str:
    error = _cause(error)
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def score_shards(reward: Reward, unit: Unit, prompts: dict[str, Prompt]) -> pd.DataFrame:
    """Scores (kind `scores`) of every candidate of a unit of `units`.

    Args:
        reward: the evaluator.
        unit: the shards.
        prompts: from `prompts_of`.
    """
    batches = _batches(unit, is_grouped(reward))
    rows = [row for batch in batches for row in _score_batch(reward, batch, prompts)]
    columns = pd.DataFrame(rows, columns=tables.SCHEMAS["scores"].names)
    return columns.astype({"score": np.float64, "merit": np.float64, "abstained": object, "details": object})


def expect_all(scores: pd.DataFrame, texts: dict[str, str], folder: Path) -> None:
    """Raise a ValueError if a prompt has no image: a shard is missing, and its prompts would never be picked."""
    if missing := sorted(texts.keys() - set(scores["prompt_id"])):
        raise ValueError(
            f"{folder}: has no image of {len(missing)} of {len(texts)} prompts (the first is {missing[0]}, "
            f"{texts[missing[0]]!r}). Run `dvc repro generate` or `dvc pull`"
        )


@dataclass(frozen=True)
class Recipe:
    """Inputs of scoring besides the shards; makes a worker for `pool.run`."""

    aspect: str
    evaluator: Evaluator
    texts: dict[str, str]
    questions: pd.DataFrame
    machine: Compute = CPU

    def __call__(self) -> "Worker":
        return Worker(self)


class Worker:
    """Scores shards, or finds their scores of an earlier run."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.reward = registry.from_params(recipe.aspect, recipe.evaluator, recipe.machine)
        self.prompts = prompts_of(recipe.texts, recipe.questions)
        self.store = store.Store(f"score@{recipe.aspect}")
        self.modules = {type(self.reward).__module__, *getattr(self.reward, "modules", ())}
        self.plugins = plugins.used_by(self.modules)
        self.weights = [weights.identity for weights in weights_of(self.reward)]

    def __call__(self, unit: Unit) -> tuple[pd.DataFrame, bool]:
        """Scores (kind `scores`) of a unit of `units`, and whether they had to be made."""
        told = {prompt_id: vars(prompt) for prompt_id, prompt in sorted(self._of(unit).items())}
        key = fingerprint.of(
            [__name__, *self.modules],
            evaluator=self.recipe.evaluator.model_dump(),
            plugins=self.plugins,
            weights=self.weights,
            shards=[files.file_hash(path) for path in unit],
            prompts=told,
        )
        found = self.store.find(key)
        folder = found or self.store.make(key, lambda out: self._write(unit, out))
        return tables.read("scores", folder / "scores.parquet"), found is None

    def _of(self, unit: Unit) -> dict[str, Prompt]:
        """The prompts of a unit.

        Raises:
            ValueError: one is not known.
        """
        named = {name for path in unit for name in tables.read("index", path.with_suffix(".parquet"))["prompt_id"]}
        if strangers := sorted(named - self.prompts.keys()):
            raise ValueError(
                f"{unit[0]}: prompt {strangers[0]} is not in the prompt table. The images are of other prompts: "
                "run `dvc repro` to draw them again"
            )
        return {prompt_id: self.prompts[prompt_id] for prompt_id in named}

    def _write(self, unit: Unit, out: Path) -> None:
        tables.write("scores", score_shards(self.reward, unit, self.prompts), out / "scores.parquet")
