"""UnifiedReward (Wang et al. 2025): one reply rates alignment, coherence and style; each is an aspect of its own."""

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from versat2i.rewards.common.base import Explained, Images, Prompt, Verdicts
from versat2i.rewards.common.reached import Reached
from versat2i.rewards.common.served import Question
from versat2i.settings.compute import NOWHERE, Server
from versat2i.work import fingerprint, store

PARTS = ("alignment", "coherence", "style")
QUESTION = (
    "Rate this generated image against its caption, each from 1 to 5. Alignment: how well it shows what the caption "
    "says. Coherence: how free of glitches and distorted objects it is. Style: how appealing it looks, whatever the "
    "caption says. Reply with three lines and nothing else:\nAlignment Score (1-5): X\nCoherence Score (1-5): Y\n"
    "Style Score (1-5): Z\nCaption: [{prompt}]"
)
REPLIES = "replies.json"
_FOUND = re.compile(
    r"(alignment|coherence|style)(?:\s+score)?[\s*]*(?:\(1\s*-\s*5\))?[\s*:=]*([0-9]+(?:\.[0-9]+)?)", re.I
)


def ratings(reply: str) -> dict[str, float]:
    """The numbers of a reply by what they rate; the first of each counts."""
    found: dict[str, float] = {}
    for part, number in _FOUND.findall(reply):
        found.setdefault(part.lower(), float(number))
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the system frees it where one dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class UnifiedReward(Reached):
    """One of the three ratings in a reply, 1 to 5.

    Replies are kept in the work store by model, question, images and prompts: of the three aspects' stages, whichever
    comes first asks, and the others, also those that run beside it, take its reply.
    """

    name = "unified_reward"
    metric = "unified_alignment"
    higher_is_better = True
    range = (1.0, 5.0)

    def __init__(
        self,
        model: str,
        part: str,
        server: str | None = None,
        question: str = QUESTION,
        dtype: str = "float32",
        batch_size: int = 8,
        tokens: int = 64,
        system: str | None = None,
        trust_remote_code: bool = False,
        device: str = "cpu",
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Make one.

        Args:
            model: a vision-language model, a folder or ``repository@revision``; with `server` its name there.
            part: alignment, coherence or style; the metric is ``unified_<part>``.
            server: where the model is served, by its name in compute.yaml; None: it is loaded here.
            question: about an image; ``{prompt}`` in it is the image's prompt. The model card has the wording that the
                model was tuned with.
            dtype: float32, float16 or bfloat16, of a model that is loaded here.
            batch_size: images at once, for a model that is loaded here.
            tokens: at most, of a reply.
            system: what the chat begins with.
            trust_remote_code: whether code that comes with the model may be run.
            device: to compute on.
            servers: where models are served.

        Raises:
            ValueError: the part is none of the three.
        """
        if part not in PARTS:
            raise ValueError(f"unified_reward: part {part!r} is none of {', '.join(PARTS)}")
        self.metric, self._part, self._question = f"unified_{part}", part, question
        self._batch_size, self._tokens, self._system = batch_size, tokens, system
        self.reach(model, dtype, trust_remote_code, system, "", device, server, servers)
        self._model, self._dtype = model, dtype

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        return [self._verdict(reply) for reply in self._replies(images, prompts)]

    def _verdict(self, reply: str) -> float | str:
        number = ratings(reply).get(self._part)
        shown = " ".join(reply.split())[-60:]
        if number is None:
            return f"no {self._part} in the reply ({shown!r})"
        if not 1.0 <= number <= 5.0:
            return f"{self._part} {number:g} is not within 1 to 5 ({shown!r})"
        return Explained(number, {"reply": reply})

    def _replies(self, images: Images, prompts: list[Prompt]) -> list[str]:
        """The replies about a batch, asked for once whoever else needs them."""
        key = fingerprint.of(
            [__name__],
            model=[self._model, *(weights.identity for weights in self.weights)],
            asked=[self._question, self._system, self._tokens],
            computed=None if self.served else [self._dtype, self._batch_size],
            images=[list(images.shape), hashlib.sha256(images.tobytes()).hexdigest()],
            prompts=[prompt.text for prompt in prompts],
        )
        kept = store.Store("replies")
        if (found := kept.find(key)) is None:
            with _alone(kept.folder / f".lock-{key[:2]}"):
                if (found := kept.find(key)) is None:
                    found = kept.make(key, lambda out: self._write(images, prompts, out))
        return list(json.loads((found / REPLIES).read_text(encoding="utf-8")))

    def _write(self, images: Images, prompts: list[Prompt], out: Path) -> None:
        (out / REPLIES).write_text(json.dumps(self._ask(images, prompts)), encoding="utf-8")

    def _ask(self, images: Images, prompts: list[Prompt]) -> list[str]:
        texts = [self._question.replace("{prompt}", prompt.text) for prompt in prompts]
        if self.served is not None:
            asked = [Question(image, text) for image, text in zip(images, texts, strict=True)]
            return self.served.replies(asked, self._tokens)
        replies: list[str] = []
        for start in range(0, len(images), self._batch_size):
            some = slice(start, start + self._batch_size)
            replies += self.model.replies(images[some], texts[some], self._tokens)
        return replies
