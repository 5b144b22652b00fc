"""Read the sources in params into the tables of the three splits."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pandas as pd

from versat2i.models.pretrained import language_model
from versat2i.prompts import files, formats, oneig, public, refusing, rows
from versat2i.prompts.asking import ask as ask_model
from versat2i.prompts.records import Prompt, Question, prompt_id, to_tables
from versat2i.prompts.writing import write
from versat2i.settings.compute import CPU, Compute
from versat2i.settings.sources import Prompts, Source

SPLITS = ("eval", "dev", "train")  # a prompt in several is kept in the first
GRAMMAR = "versat2i.shapes.world.prompts"  # a plug-in: imported by name, when asked for


Track = Callable[[Iterable[Prompt], str, int], Iterable[Prompt]]
"""Passes prompts through and tells somebody how far it has come, of how many."""


def _untold(prompts: Iterable[Prompt], label: str, total: int) -> Iterable[Prompt]:
    return prompts


def prompts_of(
    source: Source, split: str, track: Track = _untold, counts: rows.Counts | None = None, machine: Compute = CPU
) -> Iterator[Prompt]:
    """The prompts of a source.

    Args:
        source: where they come from.
        split: train, dev or eval.
        track: is told of the work of a language model, which takes hours.
        counts: of what was done to a file's prompts, are added to.
        machine: where a language model runs.

    Raises:
        ValueError: as the source's reader says.
    """
    if source.grammar is not None:
        yield from import_module(GRAMMAR).sample(source.grammar, source.seed, source.held_out, split)
        return
    if source.written is not None:
        new = write(source.written, split, language_model.from_params(source.written, machine.torch_device()))
        found = list(track(new, f"prompts written for {split}", source.written.amount))
    else:
        found = files.read(Path(str(source.file)), source.format, counts)
    if source.refuse is not None:
        found = refusing.left(found, source.refuse, machine.torch_device, counts)
    if source.asked is not None:
        told = ask_model(found, source.asked, language_model.from_params(source.asked, machine.torch_device()))
        yield from track(told, f"prompts asked about for {split}", len(found))
    elif source.questions == "grammar":
        for prompt in found:
            yield replace(prompt, questions=ask(prompt.text))
    elif source.questions is not None:
        yield from _asked(found, Path(source.questions))
    else:
        yield from found


def _asked(prompts: list[Prompt], path: Path) -> list[Prompt]:
    """Prompts with the questions that another file asks about them; those it does not know keep their own.

    Raises:
        ValueError: the file has no questions, or none about these prompts.
    """
    if oneig.asks(path):
        return oneig.asked(prompts, path)
    rows_of_questions = formats.read(path)
    if public.is_asked_by_line(rows_of_questions):
        return public.asked_by_line(prompts, rows_of_questions, path)
    known: dict[str, Prompt] = {}
    for asked in files.read(path):
        if asked.questions:
            known.setdefault(prompt_id(asked.text), asked)
    if not known:
        raise ValueError(f"{path}: has no questions; expected a file of TIFA's or DSG's, or one with a column question")
    if not any(prompt_id(prompt.text) in known for prompt in prompts):
        raise ValueError(f"{path}: asks about none of the {len(prompts)} prompts of {prompts[0].source}")
    told = [(prompt, known.get(prompt_id(prompt.text), prompt)) for prompt in prompts]
    return [replace(p, questions=by.questions, unknown_parents=by.unknown_parents) for p, by in told]


def ask(text: str) -> list[Question]:
    """Questions about a sentence of the grammar.

    Raises:
        ValueError: not a sentence of the grammar; the message names the word or phrase.
    """
    return import_module(GRAMMAR).ask(text)


def collect(
    prompts: Prompts, track: Track = _untold, machine: Compute = CPU
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]]:
    """Prompts and questions of each split, no prompt in two of them.

    Args:
        prompts: the sources of each split.
        track: as for `prompts_of`.
        machine: as for `prompts_of`.

    Returns:
        split -> prompts, questions, and counts: prompts, questions, duplicates merged, prompts left out because
        another split has them, what was done to the prompts of files (`rows.Counts`), and where there are any,
        names of parents that are no questions of their prompt.

    Raises:
        ValueError: a split has no prompt left.
    """
    taken: set[str] = set()
    result = {}
    for split in SPLITS:
        done: rows.Counts = Counter()
        found = [
            prompt for source in getattr(prompts, split) for prompt in prompts_of(source, split, track, done, machine)
        ]
        texts, questions, merged = to_tables(found)
        shared = texts["prompt_id"].isin(taken)
        texts = texts[~shared]
        questions = questions[questions["prompt_id"].isin(texts["prompt_id"])]
        if texts.empty:
            raise ValueError(f"prompts.{split}: no prompt is left ({int(shared.sum())} are in other splits)")
        taken |= set(texts["prompt_id"])
        counts = {"prompts": len(texts), "questions": len(questions), "merged": merged, "shared": int(shared.sum())}
        counts |= done
        if unknown := sum(prompt.unknown_parents for prompt in found):
            counts["unknown_parents"] = unknown
        result[split] = (texts, questions, counts)
    return result


def read(path: str | Path, format: str = "auto") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompts and questions of a file, as tables of the schemas in `tables.SCHEMAS`.

    Args:
        path: one's own file or that of a benchmark; see `files.read`.
        format: auto, txt, csv, tsv, json, jsonl or parquet.

    Raises:
        ValueError: as `files.read`.
    """
    texts, questions, _ = to_tables(files.read(Path(path), format))
    return texts, questions
