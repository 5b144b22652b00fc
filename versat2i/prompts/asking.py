"""Questions about prompts from a language model, kept where the text alone answers them (TIFA, Hu et al. 2023)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from versat2i.models.pretrained.language_model import Replier
from versat2i.prompts.records import YES_NO, Prompt, Question, question, readable
from versat2i.prompts.templates import Template
from versat2i.settings.sources import Asked
from versat2i.words import words

TYPES = {
    name: "animal/human" if name in ("animal", "human") else name
    for name in (
        *("object", "human", "animal", "food", "activity", "attribute", "counting"),
        *("color", "material", "spatial", "location", "shape", "other"),
    )
}
"""Those that TIFA tells apart, with the name that its files have for them."""

Pair = tuple[Prompt, Question]

_YES_NO = [words(answer) for answer in YES_NO]
TRIED = 32  # prompts that a model may ask nothing about before it is taken to be unable to
ENOUGH = 0.6  # of the words of an answer given without choices, as in TIFA
_ABOUT_OR_QUESTION = re.compile(
    r"^about\b.*\((?P<type>[^()\n]+)\).*$|^q\s*:(?P<question>.+)\nchoices\s*:(?P<choices>.+)\na\s*:(?P<answer>.+)$",
    re.I | re.M,
)


def _question(kind: str, match: re.Match[str], number: int) -> Question | None:
    """A question of a reply, None where it has fewer than two choices or its answer is none of them."""
    text, answer = readable(match["question"]), words(match["answer"])
    choices = list(dict.fromkeys(filter(None, map(readable, match["choices"].split(",")))))
    right = next((choice for choice in choices if words(choice) == answer), None)
    if not text or not answer or right is None or len(choices) < 2:
        return None
    return question(str(number), text, choices, right, kind)


def parse(reply: str) -> list[Question]:
    """The questions of a reply that are whole, of a type of TIFA's, and asked once.

    A question is three lines, ``Q:``, ``Choices:`` (with commas between) and ``A:``, below ``About <what> (<type>):``.
    """
    lines = "\n".join(line.strip(" \t*") for line in reply.splitlines() if line.strip())
    found: dict[str, Question] = {}
    kind: str | None = None
    for match in _ABOUT_OR_QUESTION.finditer(lines):
        if match["type"]:
            kind = TYPES.get(match["type"].strip().lower())
        elif kind and (new := _question(kind, match, len(found))):
            found.setdefault(str(new["question"]), new)
    return list(found.values())


def word_f1(expected: Sequence[str], said: Sequence[str]) -> float:
    """``2 h / (2 h + m + x)``: h words of the answer that were said, m that were not, x words said besides."""
    hits = sum(word in said for word in expected)
    misses, extras = len(expected) - hits, sum(word not in expected for word in said)
    return 2 * hits / (2 * hits + misses + extras) if expected or said else 0.0


def _replies(requests: list[str], asked: Asked, model: Replier) -> list[str]:
    """The most probable reply to each request."""
    batches = [requests[start : start + asked.batch_size] for start in range(0, len(requests), asked.batch_size)]
    return [reply for batch in batches for reply in model.replies(batch, tokens=asked.tokens, temperature=0.0, seed=0)]


def _first_line(reply: str) -> list[str]:
    """The words of an answer."""
    line = next((line for line in reply.splitlines() if line.strip()), "")
    return words(re.sub(r"^\s*(answer|a)\s*:", "", line, flags=re.I))


def _answer(pair: Pair) -> list[str]:
    return words(str(pair[1]["answer"]))


def _answers(pairs: list[Pair], choose: bool, asked: Asked, model: Replier) -> list[list[str]]:
    """Ask each question with the prompt alone, with its choices or without; returns the words of each answer."""
    check = Template(asked.check)
    texts = [
        check.fill(prompt=prompt.text, question=each["question"], choices=each["choices"] if choose else [])
        for prompt, each in pairs
    ]
    return [_first_line(reply) for reply in _replies(texts, asked, model)]


def answered(pairs: list[Pair], asked: Asked, model: Replier) -> list[Pair]:
    """The questions whose own answer the text alone gives.

    The model picks that answer from the choices and, unless it is yes or no, says most of its words without them.
    """
    picks = _answers(pairs, True, asked, model)
    right = [pair for pair, said in zip(pairs, picks, strict=True) if said == _answer(pair)]
    free = [pair for pair in right if _answer(pair) not in _YES_NO]
    said = iter(_answers(free, False, asked, model))
    return [pair for pair in right if _answer(pair) in _YES_NO or word_f1(_answer(pair), next(said)) > ENOUGH]


def ask(prompts: list[Prompt], asked: Asked, model: Replier) -> Iterator[Prompt]:
    """Prompts with questions about them in place of their own, none that their text does not answer.

    Args:
        prompts: what is asked about, a batch at a time.
        asked: by which instructions.
        model: who asks, and answers.

    Raises:
        ValueError: a template cannot be read or filled, or the model asks nothing about any of the first prompts.
    """
    template, able = Template(asked.template), False
    for start in range(0, len(prompts), asked.batch_size):
        batch = prompts[start : start + asked.batch_size]
        replies = _replies([template.fill(prompt=prompt.text) for prompt in batch], asked, model)
        pairs = [(prompt, each) for prompt, reply in zip(batch, replies, strict=True) for each in parse(reply)]
        able = able or bool(pairs)
        seen = start + len(batch)
        if not able and seen >= min(TRIED, len(prompts)):
            raise ValueError(
                f"{asked.model}: asked no whole question about any of the first {seen} prompts. Is it large enough, "
                f"does {asked.template} say how questions are written, and are {asked.tokens} tokens enough for them?"
            )
        kept: dict[int, list[Question]] = {id(prompt): [] for prompt in batch}
        for prompt, each in answered(pairs, asked, model):
            own = kept[id(prompt)]
            own.append({**each, "question_id": str(len(own))})
        yield from (replace(prompt, questions=kept[id(prompt)]) for prompt in batch)
