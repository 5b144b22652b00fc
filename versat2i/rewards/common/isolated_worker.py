"""One evaluator in a Python environment of its own; `isolated` starts this file there, as a script.

It needs nothing of this project: the standard library, numpy, and the package that has the evaluator.
What is said on the pipe is in docs/rewards.md, "An environment of its own".
"""

import inspect
import json
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from importlib.metadata import distributions, entry_points
from typing import Any, BinaryIO

PROTOCOL = 2
GROUP = "versat2i.rewards"
OLDEST = (3, 10)  # `entry_points` takes a group since then
SAID = ("name", "metric", "higher_is_better", "range", "licence")  # of an evaluator, by its attributes


@dataclass(frozen=True)
class Prompt:
    """The prompt of an image.

    Attributes:
        prompt_id: its name in the tables.
        text: what the model was given.
        questions: about it, rows of the questions table: ``question_id, question, choices, answer, element_type,
            parent_ids``.
    """

    prompt_id: str
    text: str
    questions: list[dict[str, Any]] = field(default_factory=list)


class Explained(float):
    """A score that knows what it was made from.

    Attributes:
        details: fit for JSON; kept in the table of scores.
    """

    details: dict[str, Any]

    def __new__(cls, score: float, details: dict[str, Any]) -> "Explained":
        made = super().__new__(cls, score)
        made.details = details
        return made


def expect_contract(reward: Any, label: str) -> None:
    """Raise a ValueError unless an evaluator's `score` can be called with images and prompts."""
    score = getattr(reward, "score", None)
    if not callable(score):
        raise ValueError(f"{label}: has no method score(images, prompts), which an evaluator must")
    try:
        inspect.signature(score).bind(None, None)
    except TypeError:
        raise ValueError(
            f"{label}: score{inspect.signature(score)} is the contract of an earlier version. Take (images, "
            "prompts), a prompt with prompt_id, text and questions, and return a list: for each image a number, or a "
            "text that says why there is none (docs/rewards.md, Write your own)"
        ) from None


def installed() -> dict[str, str]:
    """The version of every package, or the commit where it was installed from a repository."""
    found: dict[str, str] = {}
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
        origin = json.loads(package.read_text("direct_url.json") or "{}")
        commit = origin.get("vcs_info", {}).get("commit_id")
        found.setdefault(name, commit or package.version)  # the first on the path is the one that is imported
    return found


def make(aspect: str, evaluator: str, options: dict[str, Any]) -> Any:
    """The evaluator that a package of this environment registers.

    Raises:
        ValueError: none does, or several do.
    """
    if sys.version_info < OLDEST:
        raise ValueError(f"its Python is {sys.version.split()[0]}, expected at least {'.'.join(map(str, OLDEST))}")
    name = f"{aspect}.{evaluator}"
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if len(points) != 1:
        raise ValueError(f"{len(points)} packages there have an entry point {name} of the group {GROUP}, expected one")
    reward = points[0].load()(**options)
    expect_contract(reward, name)
    return reward


def verdict(score: Any, place: int) -> float | str:
    """A score as a plain number, or the reason to abstain.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(score, (str, Explained)):
        return score
    try:
        return float(score)
    except (TypeError, ValueError):
        raise ValueError(f"score() gave {score!r} for image {place}; expected a number or a reason") from None


def scores(reward: Any, request: dict[str, Any], pixels: bytes) -> list[float | str]:
    """A number an image, or the reason why there is none."""
    import numpy as np

    images = np.frombuffer(pixels, np.uint8).reshape(request["images"])
    found = reward.score(images, [Prompt(**prompt) for prompt in request["prompts"]])
    return [verdict(score, place) for place, score in enumerate(found)]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer one line with one line until there are no more; an error is an answer too."""
    reward = None
    while line := requests.readline():
        request = json.loads(line)
        try:
            if reward is None:
                reward = make(request["aspect"], request["evaluator"], request["options"])
                said = {name: getattr(reward, name) for name in SAID}
                answer = {"protocol": PROTOCOL, "installed": installed(), **said}
            elif "fetch" in request:
                getattr(reward, "fetch", lambda: None)()
                answer = {}
            else:
                height, width = request["images"][1:3]
                pixels = requests.read(request["images"][0] * height * width * 3)
                found = scores(reward, request, pixels)
                answer = {"scores": found, "details": [getattr(score, "details", None) for score in found]}
        except Exception as error:  # whatever an evaluator raises belongs to whoever asked
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    # libraries print to standard output, which would stand between the answers
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    serve(requests, answers)


if __name__ == "__main__":
    main()
