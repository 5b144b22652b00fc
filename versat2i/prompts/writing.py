"""Prompts written by a language model from a few examples, none like another (as in SELMA, Li et al. 2024)."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from rapidfuzz import process
from rapidfuzz.distance import Indel

from versat2i.models.pretrained.language_model import Replier
from versat2i.prompts import files
from versat2i.prompts.records import Prompt, readable
from versat2i.prompts.templates import Template
from versat2i.seeds import stable_seed
from versat2i.settings.sources import Written
from versat2i.words import words

SOURCE = "written"
_NUMBERED = re.compile(r"\s*(?:\*\*)?\(?\d+[.):](?:\*\*)?\s+(.+)")
_QUOTED = re.compile(r"^([\"“*]+)([^\"“”*]+)([\"”*]+)$")  # as a whole; quotation marks within belong to the prompt


class Distinct:
    """Drop texts that nearly repeat an earlier one.

    Two are as alike as ROUGE-L (Lin 2004) says: ``2 LCS(a, b) / (|a| + |b|)``, with LCS the length of the longest
    common subsequence of their words. rapidfuzz calls it the normalised Indel similarity.
    """

    def __init__(self, most_alike: float) -> None:
        """None yet.

        Args:
            most_alike: ROUGE-L above which two texts are near-duplicates, 0 to 1.
        """
        self._most_alike = most_alike
        self._words: list[list[str]] = []

    def add(self, text: str) -> bool:
        """Take a text in, unless it has no word or is a near-duplicate; whether it was taken."""
        found = words(text)
        alike = process.extractOne(
            found, self._words, scorer=Indel.normalized_similarity, score_cutoff=self._most_alike
        )
        if not found or (alike is not None and alike[1] > self._most_alike):
            return False
        self._words.append(found)
        return True


def parse(reply: str) -> list[str]:
    """The numbered lines of a reply, normalised; what stands around them is talk, and no prompt."""
    numbered = filter(None, map(_NUMBERED.fullmatch, reply.splitlines()))
    texts = [readable(match[1]) for match in numbered]
    return [_QUOTED.sub(r"\2", text) for text in texts if text]


def _requests(written: Written, split: str, batch: int, known: list[str], template: Template) -> list[str]:
    """The requests of a batch, each with examples of its own."""
    made = []
    for number in range(written.batch_size):
        rng = random.Random(stable_seed("examples", written.seed, split, batch, number))
        shown = rng.sample(known, min(written.shown, len(known)))
        made.append(template.fill(amount=written.per_request, examples=shown))
    return made


def write(written: Written, split: str, model: Replier) -> Iterator[Prompt]:
    """New prompts until there are `amount`; a larger amount gives the same and more.

    Examples are drawn from the file of examples and from what was written; near-duplicates of either are left out.

    Args:
        written: how many, from which examples, by which instructions.
        split: train, dev or eval, which differ by their seeds.
        model: who writes.

    Raises:
        ValueError: a file cannot be read, or the model gives nothing new any more.
    """
    template = Template(written.template)
    distinct = Distinct(written.most_alike)
    known = [prompt.text for prompt in files.read(Path(written.examples)) if distinct.add(prompt.text)]
    examples, misses, batch = len(known), 0, 0
    while len(known) - examples < written.amount:
        if misses >= written.patience:
            raise ValueError(
                f"prompts.{split}: {written.model} wrote {len(known) - examples} of {written.amount} prompts, then "
                f"nothing new in {misses * written.batch_size} requests: no numbered lines, or all alike. Raise "
                "temperature or most_alike, give more examples, change the template, or ask for fewer"
            )
        replies = model.replies(
            _requests(written, split, batch, known, template),
            tokens=written.tokens,
            temperature=written.temperature,
            seed=stable_seed("replies", written.seed, split, batch),
        )
        new = [text for reply in replies for text in parse(reply) if distinct.add(text)]
        new = new[: written.amount - (len(known) - examples)]
        known += new
        misses, batch = (0 if new else misses + 1), batch + 1
        yield from (Prompt(text, SOURCE, "") for text in new)
