"""A language model that follows instructions: requests in, replies out, kept in the work store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

from versat2i.models.pretrained import weights
from versat2i.settings.sources import LanguageModel as Chosen
from versat2i.work import fingerprint, store


class Replier(Protocol):
    """A language model, or a cache of its replies.

    Attributes:
        identity: tells its replies from those of any other.
    """

    @property
    def identity(self) -> str: ...

    def replies(self, requests: list[str], *, tokens: int, temperature: float, seed: int) -> list[str]:
        """One reply a request.

        Args:
            requests: what a user says.
            tokens: at most, of a reply; one that is not at its end by then has its last line cut off.
            temperature: of the draw of each token; 0 takes the most probable one.
            seed: of the draws.
        """
        ...


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Draws of torch come from a seed; its global state is as before afterwards."""
    import torch  # heavy

    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


class LanguageModel(weights.Holder):
    """Any causal model of transformers whose tokenizer has a chat template."""

    kind = "AutoModelForCausalLM"

    @property
    def identity(self) -> str:
        return f"{self.weights.identity} {self.weights.dtype}"

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self.weights.load("AutoTokenizer", padding_side="left")
        if not tokenizer.chat_template:
            raise ValueError(
                f"{self.weights}: its tokenizer has no chat template, so it follows no instructions. Name a model "
                "that was tuned to, often called Instruct or Chat"
            )
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        return tokenizer

    def _said(self, request: str) -> str:
        """A request as the model was trained to be asked; one that could think aloud first does not."""
        messages = [{"role": "user", "content": request}]
        return self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )

    def _text(self, tokens: list[int]) -> str:
        """Decode a reply; the last line of one that was cut off is dropped."""
        ends = self._model.generation_config.eos_token_id
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        finished = any(end in tokens for end in (ends if isinstance(ends, list) else [ends]))
        return (text if finished else text.rpartition("\n")[0]).strip()

    def replies(self, requests: list[str], *, tokens: int, temperature: float, seed: int) -> list[str]:
        import torch  # heavy

        model = self._model
        asked = self._tokenizer(
            [self._said(request) for request in requests], padding=True, add_special_tokens=False, return_tensors="pt"
        ).to(model.device)
        drawn = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        with _seeded(seed, str(model.device)), torch.inference_mode():
            made = model.generate(**asked, max_new_tokens=tokens, **drawn)
        return [self._text(row) for row in made[:, asked["input_ids"].shape[1] :].tolist()]


class Kept:
    """Replies that are kept in the work store: a run that was stopped asks only what it has not asked yet."""

    def __init__(self, model: Replier) -> None:
        self._model, self.identity = model, model.identity
        self._store = store.Store("replies")

    def replies(self, requests: list[str], *, tokens: int, temperature: float, seed: int) -> list[str]:
        how: dict[str, Any] = {"tokens": tokens, "temperature": temperature, "seed": seed}
        code = [type(self._model).__module__]
        key = fingerprint.of(code, model=self.identity, requests=requests, **how)

        def write(out: Any) -> None:
            (out / "replies.json").write_text(json.dumps(self._model.replies(requests, **how)))

        folder = self._store.find(key) or self._store.make(key, write)
        return json.loads((folder / "replies.json").read_text())


def from_params(chosen: Chosen, device: str) -> Replier:
    """The model that params name."""
    return Kept(LanguageModel(chosen.model, chosen.dtype, chosen.trust_remote_code, device))
