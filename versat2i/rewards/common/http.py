"""A judge behind an OpenAI-compatible server: any question about an image and its prompt, a number in the reply."""

import re
from collections.abc import Mapping, Sequence

from versat2i.models.pretrained import weights as pretrained
from versat2i.rewards.common.base import OWN_LICENCE, Explained, Images, Prompt, Verdicts
from versat2i.rewards.common.served import Question, Served
from versat2i.settings.compute import NOWHERE, Server


class Http:
    """The number that a model's reply ends with, as a pattern finds it.

    A reply without a number, or with one outside of the range, is a reason to abstain.
    """

    name = "http"
    metric = "http"
    higher_is_better = True
    range: tuple[float, float] = (0.0, 1.0)
    licence = f"{OWN_LICENCE}; {pretrained.LICENCE}"

    def __init__(
        self,
        model: str,
        server: str,
        metric: str,
        question: str,
        pattern: str,
        range: Sequence[float],
        tokens: int = 512,
        system: str = "",
        servers: Mapping[str, Server] = NOWHERE,
    ) -> None:
        """Make one.

        Args:
            model: its name at the server.
            server: its name in compute.yaml.
            metric: what the score is called.
            question: about an image; ``{prompt}`` in it is the image's prompt.
            pattern: a regular expression whose first group is the number; its last match counts.
            range: the lowest and the highest number.
            tokens: at most, of a reply.
            system: what the chat begins with.
            servers: where models are served.

        Raises:
            ValueError: the pattern is none, or has no group, or the range is none.
        """
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"http: pattern {pattern!r} is no regular expression ({error})") from None
        if not self._pattern.groups:
            raise ValueError(f"http: pattern {pattern!r} has no group; put the number in one, as in 'Score: ([0-9.]+)'")
        if len(range) != 2 or not range[0] < range[1]:
            raise ValueError(f"http: range {list(range)} is none; expected the lowest and the highest number")
        self.metric, self.range, self._question, self._tokens = metric, (range[0], range[1]), question, tokens
        self._served = Served(model, server, servers, system)
        self.licence = f"{OWN_LICENCE}; {model}: {pretrained.LICENCE}"

    def score(self, images: Images, prompts: list[Prompt]) -> Verdicts:
        asked = [
            Question(image, self._question.replace("{prompt}", prompt.text))
            for image, prompt in zip(images, prompts, strict=True)
        ]
        return [self._verdict(reply) for reply in self._served.replies(asked, self._tokens)]

    def _verdict(self, reply: str) -> float | str:
        found = [match[1] for match in self._pattern.finditer(reply)]
        shown = " ".join(reply.split())[-60:]
        try:
            number = float(found[-1])
        except (IndexError, ValueError, TypeError):
            return f"no number in the reply ({shown!r})"
        low, high = self.range
        if not low <= number <= high:
            return f"{number:g} is not within {low:g} to {high:g} ({shown!r})"
        return Explained(number, {"reply": reply})
