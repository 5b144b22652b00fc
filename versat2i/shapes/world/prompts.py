"""Prompts of the embedded world with their questions, for the `prompts` stage."""

import random
from collections.abc import Iterator

from versat2i.prompts.records import Prompt, prompt_id
from versat2i.seeds import stable_seed
from versat2i.shapes.world import grammar
from versat2i.shapes.world.questions import questions

SPLITS = ("train", "train", "train", "dev", "eval")
"""Every sentence belongs to one split by its hash: splits never share a prompt, whatever their seeds."""

MOST_MISSES = 20_000  # draws in a row that give nothing new


def split_of(text: str) -> str:
    """The split that a sentence of the grammar belongs to."""
    return SPLITS[stable_seed("split", text) % len(SPLITS)]


def sample(amount: int, seed: int, held_out: float, split: str) -> Iterator[Prompt]:
    """Distinct random prompts of a split.

    Prefix-stable: a larger amount gives the same prompts and more.

    Args:
        amount: how many.
        seed: of the draws.
        held_out: share of prompts with a held-out combination, 0 to 1; none of them in `train`,
            which would teach what the others are to test.
        split: train, dev or eval.
    """
    if split == "train" and held_out:
        raise ValueError("prompts.train: held_out must be 0; held-out combinations are for dev and eval")
    rng = random.Random(stable_seed("prompts", seed, split))
    seen: set[str] = set()
    misses = 0  # since the last new prompt
    while len(seen) < amount:
        if misses > MOST_MISSES:
            raise ValueError(
                f"prompts.{split}: the grammar has hardly more than {len(seen)} such prompts, not {amount}"
            )
        misses += 1
        description = grammar.sample(rng, rng.random() < held_out)
        text = grammar.phrase(description, rng)
        if text in seen or split_of(text) != split:
            continue
        seen.add(text)
        misses = 0
        yield to_prompt(text, description)


def to_prompt(text: str, description: grammar.Description) -> Prompt:
    """A sentence of the grammar with its questions; the source tells held-out combinations apart."""
    source = "shapes:held_out" if description.held_out else "shapes:seen"
    return Prompt(text, source, description.category, questions(prompt_id(text), description))


def ask(text: str) -> list[dict]:
    """Questions about a sentence of the grammar from elsewhere.

    Raises:
        ValueError: the sentence is not of the grammar; the word or phrase is named.
    """
    return questions(prompt_id(text), grammar.parse(text))
