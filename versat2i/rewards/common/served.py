"""A vision-language model behind an OpenAI-compatible server (vLLM, SGLang, ...): questions in, answers out.

The server's address is the machine's: compute.yaml, ``servers``. What is asked, and of which model, is in params.yaml.
"""

import base64
import io
import math
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import PIL.Image
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from versat2i.rewards.common.base import Image
from versat2i.settings.complaints import hint
from versat2i.settings.compute import NOWHERE, Server

BACKOFF = 0.5  # seconds before the second repetition, doubled for each further one; the first comes at once
BUSY = (408, 429, 500, 502, 503, 504)  # answers after which a request is made again
MOST_TOKENS = 20  # whose log-probabilities a server gives, by the API
BLANKS = str.maketrans({"Ġ": " ", "▁": " "})  # as vocabularies spell a blank, where a server does not decode tokens


@dataclass(frozen=True)
class Question:
    """One question about one image.

    Attributes:
        image: ``uint8 [height, width, 3]``.
        text: what is asked.
        stem: with what the answer begins; it needs a server that goes on with an unfinished message (vLLM, SGLang).
    """

    image: Image
    text: str
    stem: str = ""


class Served:
    """A model by the name under which a server has it."""

    def __init__(self, model: str, server: str, servers: Mapping[str, Server] = NOWHERE, system: str = "") -> None:
        """Make one; nothing is sent.

        Args:
            model: its name at the server, e.g. ``Qwen/Qwen3-VL-8B-Instruct``.
            server: its name in compute.yaml.
            servers: compute.yaml's.
            system: what the chat begins with, before the question; "" for nothing.
        """
        self.model, self._name, self._servers, self._system = model, server, servers, system

    def __str__(self) -> str:
        return f"{self.model} at server {self._name!r}"

    @cached_property
    def _server(self) -> Server:
        if self._name not in self._servers:
            raise ValueError(
                f"compute.yaml: servers has no {self._name!r}. Say where {self.model} is served, e.g. "
                f"`servers: {{{self._name}: {{url: http://localhost:8000/v1}}}}`"
            )
        return self._servers[self._name]

    @cached_property
    def _session(self) -> requests.Session:
        """Connections that repeat what a busy, silent or broken server did not answer, and carry the key."""
        server, session = self._server, requests.Session()
        again = Retry(
            total=server.attempts - 1,
            backoff_factor=BACKOFF,
            status_forcelist=BUSY,
            allowed_methods=None,  # a question may be asked twice, though it is a POST
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again, pool_maxsize=server.requests))
        if server.key is not None:
            if not os.environ.get(server.key):
                raise ValueError(f"{self}: the environment variable {server.key} is to hold its key, and does not")
            session.headers["Authorization"] = f"Bearer {os.environ[server.key]}"
        return session

    def expect(self) -> None:
        """Raise a ValueError, of one line, unless the server answers and has a model of this name."""
        answer = self._answered("GET", "models")
        try:
            known = [str(each["id"]) for each in answer.json()["data"]]
        except (ValueError, LookupError, TypeError):
            raise ValueError(f"{self}: {answer.url} answers {answer.text[:80]!r}, expected a list of models") from None
        if self.model not in known:
            raise ValueError(f"{self}: it serves {', '.join(known) or 'nothing'}{hint(self.model, known)}")

    def _answered(self, method: str, page: str, body: dict[str, Any] | None = None) -> requests.Response:
        """Send a request, again where the server is busy, and return its answer.

        Raises:
            ValueError: the server refuses or does not answer; in one line.
        """
        server, session = self._server, self._session
        address = f"{server.url.rstrip('/')}/{page}"
        try:
            answer = session.request(method, address, json=body, timeout=server.timeout)
        except requests.RequestException as error:
            raise ValueError(
                f"{self}: {address} gave no answer in {server.attempts} attempts of {server.timeout:g} s at most "
                f"({_reason(error)}). Does it run?"
            ) from None
        if answer.status_code != requests.codes.ok:
            said = " ".join(answer.text.split())[:300]
            raise ValueError(f"{self}: {address} answers {answer.status_code} {answer.reason}: {said}")
        return answer

    def _body(self, question: Question, tokens: int, ranked: bool) -> dict[str, Any]:
        """A request in the API's form, for the most probable answer."""
        PIL.Image.fromarray(question.image).save(png := io.BytesIO(), "PNG", compress_level=1)
        picture = {"url": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"}
        asked = [{"type": "image_url", "image_url": picture}, {"type": "text", "text": question.text}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": asked}]
        if self._system:
            messages.insert(0, {"role": "system", "content": self._system})
        body: dict[str, Any] = {"model": self.model, "messages": messages, "max_tokens": tokens, "temperature": 0}
        if question.stem:
            messages.append({"role": "assistant", "content": question.stem})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body | ({"logprobs": True, "top_logprobs": MOST_TOKENS} if ranked else {})

    def _ask(self, question: Question, tokens: int, ranked: bool) -> dict[str, Any]:
        """Send one request and return the answer's first choice.

        Raises:
            ValueError: as `_answered`, or it answers something else.
        """
        answer = self._answered("POST", "chat/completions", self._body(question, tokens, ranked))
        try:
            return dict(answer.json()["choices"][0])
        except (ValueError, LookupError, TypeError):
            raise ValueError(f"{self}: {answer.url} answers {answer.text[:80]!r}, expected a chat completion") from None

    def _all(self, questions: Iterable[Question], tokens: int, ranked: bool) -> list[dict[str, Any]]:
        """The answers in the order of the questions, several requests at a time: the server makes batches of them."""
        _ = self._session  # before threads need it
        with ThreadPoolExecutor(self._server.requests) as pool:
            return list(pool.map(lambda question: self._ask(question, tokens, ranked), questions))

    def replies(self, questions: Iterable[Question], tokens: int) -> list[str]:
        """The most probable answer to each question.

        Args:
            questions: what is asked.
            tokens: at most, of an answer.

        Raises:
            ValueError: of the server, in one line.
        """
        return [_content(choice, str(self)) for choice in self._all(questions, tokens, ranked=False)]

    def first_words(self, questions: Iterable[Question]) -> list[dict[str, float]]:
        """The probabilities of the most probable first tokens of each answer, by the text of the token.

        Blanks around a token do not count, so " Yes" and "Yes" are one; case does.

        Raises:
            ValueError: of the server, or it gives no log-probabilities.
        """
        return [_probabilities(choice, str(self)) for choice in self._all(questions, 1, ranked=True)]


def _reason(error: requests.RequestException) -> str:
    """The end of what went wrong, without the names of the classes that hand it on."""
    inner = error.args[0] if error.args else error
    return " ".join(str(getattr(inner, "reason", inner)).split()).rpartition(": ")[2]


def _content(choice: dict[str, Any], label: str) -> str:
    text = (choice.get("message") or {}).get("content")
    if not isinstance(text, str):
        raise ValueError(f"{label}: an answer has no text ({str(choice)[:80]})")
    return text


def _probabilities(choice: dict[str, Any], label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    try:
        for token in choice["logprobs"]["content"][0]["top_logprobs"]:
            word = token["token"].translate(BLANKS).strip()
            found[word] = found.get(word, 0.0) + math.exp(token["logprob"])
    except (LookupError, TypeError, AttributeError):
        raise ValueError(
            f"{label}: the answer has no log-probabilities of its first token. Start the server so that it gives them "
            f"(vLLM: --max-logprobs {MOST_TOKENS})"
        ) from None
    return found
