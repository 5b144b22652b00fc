"""What stands on the other side of the pipe answers every line with one line."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from versat2i.rewards.common import isolated_worker as worker


class Darkest:
    """The darkest pixel of each image; an image without a dark one is not judged."""

    name, metric, higher_is_better, range, licence = "darkest", "darkest", False, (0, 255), "none"

    def score(self, images, prompts):
        assert len(images) == len(prompts)
        return [np.float32(image.min()) if image.min() < 200 else "nothing is dark" for image in images]


def served(*requests):
    """The answers to requests, each a dict or bytes that follow one."""
    lines = [part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n" for part in requests]
    answers = io.BytesIO()
    worker.serve(io.BytesIO(b"".join(lines)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


PROMPT = {"prompt_id": "p", "text": "a red circle", "questions": []}
FIRST = {"aspect": "judges", "evaluator": "darkest", "options": {}}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(worker, "make", lambda aspect, evaluator, options: Darkest(**options))


@pytest.mark.parametrize("said, expected", [(1, 1.0), (np.float32(0.5), 0.5), ("why", "why"), (np.int64(3), 3.0)])
def test_a_verdict_is_a_plain_number_or_a_reason(said, expected):
    found = worker.verdict(said, 0)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("said", [None, [1.0], {}])
def test_a_verdict_that_is_neither_names_the_image(said):
    with pytest.raises(ValueError, match=r"for image 7; expected a number or a reason"):
        worker.verdict(said, 7)


def test_pixels_are_read_row_by_row_after_their_line():
    images = np.full((2, 3, 4, 3), 250, np.uint8)
    images[1, 2, 3, 0] = 17
    request = {"images": [2, 3, 4, 3], "prompts": [PROMPT, PROMPT]}
    hello, answer, again = served(FIRST, request, images.tobytes(), request, images[::-1].tobytes())
    assert answer == {"scores": ["nothing is dark", 17.0], "details": [None, None]}
    assert again["scores"] == [17.0, "nothing is dark"]
    assert hello["protocol"] == worker.PROTOCOL and hello["metric"] == "darkest" and hello["range"] == [0, 255]


def test_an_error_is_an_answer_of_one_line_and_the_next_request_is_answered():
    request = {"images": [1, 1, 1, 3], "prompts": [PROMPT]}
    wrong, right = request | {"prompts": []}, request
    answers = served(FIRST, wrong, b"\0\0\0", right, b"\5\6\7")
    assert answers[1]["error"].startswith("AssertionError") and answers[2] == {"scores": [5.0], "details": [None]}


def test_one_that_has_nothing_to_fetch_says_so_by_an_empty_answer():
    assert served(FIRST, {"fetch": True})[1] == {}


def test_one_that_cannot_be_made_is_an_error_and_the_next_line_tries_again():
    answers = served(FIRST | {"options": {"colour": 1}}, FIRST)
    assert answers[0] == {"error": "TypeError: Darkest() takes no arguments"} and answers[1]["name"] == "darkest"


def test_an_evaluator_that_no_package_registers_is_named(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"^0 packages there have an entry point judges.darkest of the group"):
        worker.make("judges", "darkest", {})


def test_the_packages_that_are_installed_are_known_by_their_normal_names():
    import torch

    assert worker.installed()["opencv-python-headless"]
    assert worker.installed()["torch"].split("+")[0] == torch.__version__.split("+")[0]


class Earlier(Darkest):
    def score(self, images, prompts, questions):
        return [0.0] * len(images)


def test_an_evaluator_of_the_earlier_contract_is_refused_with_what_to_change(monkeypatch):
    monkeypatch.undo()
    point = worker.entry_points  # kept: pytest's own plug-ins ask it too
    known = [SimpleNamespace(name="judges.earlier", load=lambda: Earlier)]
    monkeypatch.setattr(worker, "entry_points", lambda group: known if group == worker.GROUP else point(group=group))
    with pytest.raises(ValueError, match=r"^judges.earlier: score\(images, prompts, questions\) is .*docs/rewards.md"):
        worker.make("judges", "earlier", {})


def test_details_of_a_score_are_sent_beside_it(monkeypatch):
    request = {"images": [1, 1, 1, 3], "prompts": [PROMPT]}
    monkeypatch.setattr(Darkest, "score", lambda *_: [worker.Explained(0.5, {"parts": [1]})])
    assert served(FIRST, request, b"\5\6\7")[1] == {"scores": [0.5], "details": [{"parts": [1]}]}
