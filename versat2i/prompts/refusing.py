"""Leave out prompts that hold a word of a list, or that a classifier of texts calls unsafe."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from versat2i.models.pretrained import weights
from versat2i.prompts.records import Prompt
from versat2i.prompts.rows import Counts
from versat2i.settings.complaints import hint
from versat2i.settings.sources import Classified, Refuse

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # that would part the letters of a word unseen


def plain(text: str) -> str:
    """A text as words are looked for in it: small letters without accents, one form of each, single blanks."""
    parts = unicodedata.normalize("NFKD", INVISIBLE.sub("", text).casefold())
    return " ".join("".join(part for part in parts if not unicodedata.combining(part)).split())


def words(path: Path) -> re.Pattern[str]:
    """A pattern that finds any of the words and phrases of a file as whole words in a `plain` text.

    Args:
        path: one a line; a star at its end stands for any ending; lines that begin with # say something else.

    Raises:
        ValueError: it cannot be read, or names no word.
    """
    try:
        lines = [plain(line) for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the list of words cannot be read ({error})") from None
    listed = [re.escape(line.rstrip("*")) + (r"\w*" if line.endswith("*") else "") for line in lines if line.strip("*")]
    if not listed:
        raise ValueError(f"{path}: has no word; expected one word or phrase a line")
    return re.compile(rf"(?<!\w)(?:{'|'.join(listed)})(?!\w)")


def left(
    prompts: Iterable[Prompt], refuse: Refuse, device: Callable[[], str], counts: Counts | None = None
) -> list[Prompt]:
    """The prompts that are not refused, in their order.

    Args:
        prompts: of a source.
        refuse: what is refused.
        device: says what a classifier computes on; asked only where there is one.
        counts: ``refused`` is added to.

    Raises:
        ValueError: as `words` and `unsafe`, or no prompt is left.
    """
    given = list(prompts)
    found = given
    if refuse.words is not None:
        pattern = words(Path(refuse.words))
        found = [prompt for prompt in found if not pattern.search(plain(prompt.text))]
    if refuse.classifier is not None:
        shares = unsafe([prompt.text for prompt in found], refuse.classifier, device)
        found = [prompt for prompt, share in zip(found, shares, strict=True) if share <= refuse.classifier.most]
    if given and not found:
        raise ValueError(f"{given[0].source}: all of its {len(given)} prompts are refused")
    if counts is not None and len(found) < len(given):
        counts["refused"] += len(given) - len(found)
    return found


def unsafe(texts: list[str], classifier: Classified, device: Callable[[], str]) -> Iterator[float]:
    """``sum_u softmax_u(l)`` over the unsafe labels u of each text; where labels do not exclude each other, the largest
    ``sigmoid(l_u)``.

    Args:
        texts: cut where the model's context ends.
        classifier: any that transformers has for sequences.
        device: says what it computes on.

    Raises:
        ValueError: it cannot be loaded, or has no such label.
    """
    source = weights.parse(classifier.model, classifier.dtype, classifier.trust_remote_code)
    tokenizer = source.load("AutoTokenizer")
    model = source.model("AutoModelForSequenceClassification", device=device())
    known = {str(label): place for place, label in model.config.id2label.items()}
    for label in classifier.unsafe:
        if label not in known:
            raise ValueError(
                f"{source}: unsafe: {label!r} is none of its labels ({', '.join(known)}){hint(label, list(known))}"
            )
    places = [known[label] for label in classifier.unsafe]
    for start in range(0, len(texts), classifier.batch_size):
        logits = _logits(model, tokenizer, texts[start : start + classifier.batch_size])
        if model.config.problem_type == "multi_label_classification":
            yield from logits.sigmoid()[:, places].amax(-1).tolist()
        else:
            yield from logits.softmax(-1)[:, places].sum(-1).tolist()


def _logits(model: Any, tokenizer: Any, texts: list[str]) -> Any:
    """``float64 [texts, labels]``."""
    import torch  # heavy

    read = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        return model(**read).logits.double().cpu()
