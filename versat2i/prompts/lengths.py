"""Find prompts that are longer than the text encoders' limit: what is cut off is judged, but never drawn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from versat2i.formats import metrics
from versat2i.models.pretrained.weights import Pretrained
from versat2i.settings.params import Model
from versat2i.words import words

TOLD = 3  # prompts that a warning names
SHOWN = 60  # characters of each
T5_TOKENS = 256  # of T5, whose tokenizer would take more: the pipeline's own limit, as in `models.diffusion.sd3`


@dataclass(frozen=True)
class Reader:
    """A text encoder's tokenizer, and how many tokens the encoder takes, marks at start and end included."""

    tokenizer: Any
    limit: int

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self.tokenizer(text, verbose=False)["input_ids"])  # else it warns of errors that do not come

    def read(self, text: str) -> str:
        """The start of a text that is read, in whole words; all of it where it is short enough."""
        if self.tokens(text) <= self.limit:
            return text
        parts = text.split()
        low, high = 0, len(parts) - 1
        while low < high:  # a longer start has no fewer tokens
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.tokens(" ".join(parts[:middle])) <= self.limit else (low, middle - 1)
        return " ".join(parts[:low])


@dataclass(frozen=True)
class Cut:
    """A prompt of which the end is not read.

    Attributes:
        text: the prompt.
        read: its start, which the encoder that reads most takes in.
        tokens: of the prompt.
        limit: of that encoder.
    """

    text: str
    read: str
    tokens: int
    limit: int

    @property
    def lost(self) -> str:
        """The rest."""
        return " ".join(self.text.split()[len(self.read.split()) :])


def readers(model: Model) -> list[Reader]:
    """The tokenizers of a base model, without its weights.

    Raises:
        ValueError: they are not there, or cannot be reached.
    """
    folder = _folder(*model.place)
    remedy = "Is it a model in diffusers' format?"
    index = metrics.read_json(folder / "model_index.json", remedy)
    parts = {name for name, part in index.items() if isinstance(part, list) and part[-1]}
    found = []
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
        if name in parts:
            tokenizer = Pretrained(str(folder / name), None, model.dtype).load("AutoTokenizer")
            most = T5_TOKENS if name == "tokenizer_3" else tokenizer.model_max_length
            found.append(Reader(tokenizer, min(most, tokenizer.model_max_length)))
    return found


def _folder(place: str, revision: str | None) -> Path:
    """Where a pipeline's index and tokenizers lie; a repository's are downloaded unless `make fetch` has done so."""
    if revision is None:
        return Path(place)
    from huggingface_hub import snapshot_download  # not instant

    from versat2i.work import hub

    try:
        return Path(snapshot_download(place, revision=revision, allow_patterns=["model_index.json", "tokenizer*/*"]))
    except hub.failures() as error:
        raise ValueError(hub.reason(error, place, revision) or f"{place}@{revision}: {error}") from None


def cut(texts: Mapping[str, str], of: Iterable[Reader]) -> dict[str, Cut]:
    """Find the prompts whose end no text encoder reads.

    Args:
        texts: prompt_id -> text.
        of: a model's readers; without any nothing is cut.

    Returns:
        prompt_id -> what is read and what is lost, in the order of the prompts.
    """
    all_readers = list(of)
    found = {}
    for prompt_id, text in texts.items():
        most = max(all_readers, key=lambda reader: len(reader.read(text)), default=None)
        if most is not None and (start := most.read(text)) != text:
            found[prompt_id] = Cut(text, start, most.tokens(text), most.limit)
    return found


def about_what_was_cut(questions: pd.DataFrame, cuts: Mapping[str, Cut]) -> pd.Series:
    """Which questions ask about words that only the lost end of their prompt has.

    Args:
        questions: the table `questions`.
        cuts: of the same prompts.

    Returns:
        bool, one a question, in the table's order.
    """
    only = {key: set(words(one.lost)) - set(words(one.read)) for key, one in cuts.items()}
    asked = [
        bool(only.get(row["prompt_id"], set()) & {*words(row["question"]), *words(row["answer"])})
        for row in questions.to_dict("records")
    ]
    return pd.Series(asked, index=questions.index, dtype=bool)


def counts(questions: pd.DataFrame, cuts: Mapping[str, Cut]) -> dict[str, int]:
    """Count for metrics: `cut`, prompts whose end is not read, and `questions_cut`, questions about such ends."""
    return {"cut": len(cuts), "questions_cut": int(about_what_was_cut(questions, cuts).sum())}


def warning(cuts: Mapping[str, Cut]) -> str | None:
    """One line that names the first prompts that are cut; None if none is."""
    if not cuts:
        return None
    told = "; ".join(
        f"{_short(one.text)!r} ({one.tokens} tokens, {one.limit} are read: without {_short(one.lost)!r})"
        for one in list(cuts.values())[:TOLD]
    )
    more = f"; and {len(cuts) - TOLD} more" if len(cuts) > TOLD else ""
    many = f"{len(cuts)} prompts are longer than the text encoder reads, their ends are not drawn"
    one = "1 prompt is longer than the text encoder reads, its end is not drawn"
    return f"{one if len(cuts) == 1 else many}: {told}{more}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
