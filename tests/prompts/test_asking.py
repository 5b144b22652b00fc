"""Questions of a language model: those that are whole are taken, those that the text does not answer are dropped."""

import re
from collections import Counter

import pytest

from versat2i.prompts import sources
from versat2i.prompts.asking import ask, parse, word_f1
from versat2i.prompts.records import Prompt
from versat2i.settings.sources import Asked, Source
from versat2i.work import fingerprint

TEMPLATES = fingerprint.ROOT / "templates"
REPLY = """Certainly!
About dogs (animal):
Q: are there dogs?
Choices: yes, no
A: yes
**About three (counting):**
Q: how many dogs are there?
Choices: 1, 2, 3, 4
A: Three
Q: how many dogs are there?
Choices: 1, 3
A: 3
About meadow (location):
Q: where are the dogs?
Choices: on the meadow, on a roof
A: On a meadow.
"""


def asked(**changes):
    settings = {
        "model": "pupil", "dtype": "float32", "batch_size": 2, "tokens": 200,
        "template": str(TEMPLATES / "ask_questions.txt"), "check": str(TEMPLATES / "answer_question.txt"),
    }  # fmt: skip
    return Asked(**(settings | changes))


class Pupil:
    """Replies to each description as it was told, and answers a question by what it was told to say."""

    identity = "pupil"

    def __init__(self, replies, picks, says=None):
        self.written, self.picks, self.says, self.batches = replies, picks, says or {}, []

    def replies(self, requests, *, tokens, temperature, seed):
        assert (tokens, temperature) == (200, 0.0)
        self.batches.append(requests)
        return [self.reply(request) for request in requests]

    def reply(self, request):
        question = re.search("^Question: (.*)$", request, re.M)
        if question is None:
            return next(reply for text, reply in self.written.items() if request.endswith(f"The description: {text}"))
        told = self.picks if "Answer with one of these" in request else self.says
        return told[question[1]]


# ------------------------------------------------------------------------------------------- replies


def test_the_questions_of_a_reply_are_those_that_are_whole():
    found = parse(REPLY)
    assert [(q["question"], q["choices"], q["answer"], q["element_type"]) for q in found] == [
        ("are there dogs?", ["yes", "no"], "yes", "animal/human"),
        ("how many dogs are there?", ["1", "2", "3", "4"], "3", "counting"),
        ("where are the dogs?", ["on the meadow", "on a roof"], "on the meadow", "location"),
    ]
    assert [q["question_id"] for q in found] == ["0", "1", "2"]


WHOLE = "About a (color):\nQ: what?\nChoices: red, blue\nA: red"


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE.replace("(color)", "(feeling)"),
        WHOLE.replace("red, blue", "red"),
        WHOLE.replace("red, blue", "red, red, "),
        WHOLE.replace("A: red", "A: green"),
        WHOLE.replace("A: red", "A: ?"),
        WHOLE.replace("\nA: red", ""),
        WHOLE.replace("Choices: red, blue\n", ""),
        WHOLE.replace("About a (color):\n", ""),
        WHOLE.replace("what?", "\x01"),
        "",
    ],
)
def test_a_question_that_is_not_whole_is_left_out(reply):
    assert len(parse(WHOLE)) == 1
    assert parse(reply) == []


@pytest.mark.parametrize(
    "expected, said, f1",
    [
        ("red", "red", 1.0),
        ("red", "blue", 0.0),
        ("ice cream truck", "truck", 0.5),
        ("in air", "up in air", 0.8),
        ("", "", 0),
    ],
)
def test_word_f1_is_that_of_tifa(expected, said, f1):
    assert word_f1(expected.split(), said.split()) == pytest.approx(f1)


# -------------------------------------------------------------------------------------------- filter

DOGS = Prompt("three dogs on a meadow", "p.txt", "c", [{"question": "an old one"}])
CUP = Prompt("a cup", "p.txt", "")
RIGHT = {"are there dogs?": "Yes.", "how many dogs are there?": "Answer: three", "where are the dogs?": "on the meadow"}


def kept(picks, says):
    pupil = Pupil({DOGS.text: REPLY, CUP.text: "nothing"}, RIGHT | picks, says)
    dogs, cup = list(ask([DOGS, CUP], asked(), pupil))
    assert (dogs.text, dogs.source, dogs.category) == (DOGS.text, "p.txt", "c") and cup == CUP
    assert [q["question_id"] for q in dogs.questions] == [str(i) for i in range(len(dogs.questions))]
    return [q["answer"] for q in dogs.questions]


FREE = {"how many dogs are there?": "3 dogs", "where are the dogs?": "on the green meadow\nwith trees"}


@pytest.mark.parametrize(
    "picks, says, answers",
    [
        ({}, {}, ["yes", "3", "on the meadow"]),
        ({"are there dogs?": "no"}, {}, ["3", "on the meadow"]),
        ({"how many dogs are there?": "2"}, {}, ["yes", "on the meadow"]),
        ({"how many dogs are there?": ""}, {}, ["yes", "on the meadow"]),
        ({}, {"where are the dogs?": "in a city"}, ["yes", "3"]),  # with choices it was right
        ({"are there dogs?": "no", "where are the dogs?": "no"}, {"how many dogs are there?": "many"}, []),
    ],
)
def test_a_question_whose_answer_the_text_alone_does_not_give_is_dropped(picks, says, answers):
    assert kept(picks, FREE | says) == answers


def test_requests_are_batched_and_say_what_is_asked():
    pupil = Pupil({DOGS.text: REPLY, CUP.text: ""}, RIGHT, FREE)
    list(ask([DOGS, CUP], asked(batch_size=2), pupil))
    assert [len(batch) for batch in pupil.batches] == [2, 2, 1, 2]  # about two texts, three with choices, two without
    checks = [request for batch in pupil.batches[1:] for request in batch]
    assert all("three dogs on a meadow" in request for request in checks)
    counts = Counter("one of these and nothing else: " in request for request in checks)
    assert counts == {True: 3, False: 2}
    assert "1, 2, 3, 4" in next(request for request in checks if "how many" in request)


def test_a_model_that_asks_nothing_is_one_clear_line():
    mute = Pupil({CUP.text: "What a nice cup!"}, {})
    with pytest.raises(
        ValueError, match=r"pupil: asked no whole question about any of the first 1 prompts\..* 200 tok"
    ):
        list(ask([CUP], asked(), mute))
    with pytest.raises(ValueError, match="any of the first 32 prompts"):
        list(ask([CUP] * 100, asked(), mute))  # and not of all
    assert list(ask([], asked(), Pupil({}, {}))) == []


def test_params_have_questions_asked_about_a_file(tmp_path, monkeypatch):
    (tmp_path / "p.txt").write_text("three dogs on a meadow\n")
    pupil = Pupil({DOGS.text: REPLY}, RIGHT, FREE)
    monkeypatch.setattr(sources.language_model, "from_params", lambda chosen, device: pupil)
    told = []
    source = Source(file=str(tmp_path / "p.txt"), asked=asked())
    (found,) = sources.prompts_of(source, "dev", lambda prompts, *what: told.append(what) or prompts)
    assert told == [("prompts asked about for dev", 1)]
    assert [q["answer"] for q in found.questions] == ["yes", "3", "on the meadow"]


def test_the_shipped_template_shows_questions_as_they_are_read():
    example = (TEMPLATES / "ask_questions.txt").read_text()
    assert [q["element_type"] for q in parse(example)] == [
        "animal/human", "counting", "color", "activity", "spatial", "material",
    ]  # fmt: skip
