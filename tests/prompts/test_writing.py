"""Prompts of a language model: what it writes is read, no two are alike, and it is stopped when it repeats itself."""

import random

import pytest
import tiny_text
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.prompts import sources, writing
from versat2i.prompts.writing import Distinct, parse, write
from versat2i.settings.sources import Prompts, Source, Written
from versat2i.words import words
from versat2i.work import fingerprint

steady = settings(derandomize=True, max_examples=30, deadline=None)
TEMPLATE = fingerprint.ROOT / "templates/write_prompts.txt"
THINGS = [f"{color} {thing}" for color in ("red", "green", "gray", "pink") for thing in ("dog", "cup", "tree", "bus")]


class Author:
    """Writes numbered lines about things that follow from the seed; keeps what it was asked."""

    identity = "author"

    def __init__(self, things=THINGS):
        self.things, self.requests, self.how = things, [], []

    def replies(self, requests, *, tokens, temperature, seed):
        self.requests += requests
        self.how.append((tokens, temperature, seed))
        rng = random.Random(seed)
        return [
            self.reply([f"{rng.choice(self.things)} beside {rng.choice(self.things)}" for _ in range(3)])
            for _ in requests
        ]

    def reply(self, lines):
        return "Here you are:\n" + "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1)) + "\nAnything else?"


@pytest.fixture
def chosen(tmp_path):
    """``chosen(amount, ...)``: settings with three examples."""
    (tmp_path / "few.txt").write_text("two black cats on a roof\na wooden spoon in a bowl\nsnow on a green hill\n")

    def make(amount, **changes):
        settings = {
            "model": "author", "dtype": "float32", "batch_size": 2, "tokens": 64, "template": str(TEMPLATE),
            "amount": amount, "examples": str(tmp_path / "few.txt"), "shown": 2, "per_request": 3, "temperature": 0.9,
            "most_alike": 0.8, "patience": 4, "seed": 0,
        }  # fmt: skip
        return Written(**(settings | changes))

    return make


def texts(*arguments):
    return [prompt.text for prompt in write(*arguments)]


# ------------------------------------------------------------------------------------ near-duplicates


def longest_common(a, b):
    """Length of the longest common subsequence, by its recurrence."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


sentences = st.lists(st.sampled_from(["red", "dog", "cup", "on", "two", "tree"]), min_size=1, max_size=8)


@steady
@given(sentences, sentences, st.sampled_from([0.3, 0.5, 0.8]))
def test_near_duplicates_are_told_by_rouge_l(one, other, limit):
    distinct = Distinct(limit)
    assert distinct.add(" ".join(one))
    a, b = words(" ".join(one)), words(" ".join(other))
    rouge = 2 * longest_common(a, b) / (len(a) + len(b))
    assert distinct.add(" ".join(other)) == (rouge <= limit)


def test_case_marks_and_articles_make_no_new_prompt():
    distinct = Distinct(0.99)
    assert distinct.add("A red dog, on the roof.")
    assert not distinct.add("the Red dog on a roof")
    assert not distinct.add("?!")
    assert distinct.add("a red dog under the roof")


# ------------------------------------------------------------------------------------------- replies


@pytest.mark.parametrize(
    "reply, expected",
    [
        ("1. a red dog\n2. two cups", ["a red dog", "two cups"]),
        ("Sure! Here are 2:\n\n 1) a red dog\n(2) two cups\n- three", ["a red dog", "two cups"]),
        ("**1.** a red dog  \n2: two\tcups", ["a red dog", "two cups"]),
        ('1. "a red dog"\n2. “two cups”\n3. **three**', ["a red dog", "two cups", "three"]),
        ('1. "STOP" on a red sign\n2. a sign that says "GO"', ['"STOP" on a red sign', 'a sign that says "GO"']),
        ("1.\n2. \x00\n3. " + "a" * 3000 + "\n1.5 dogs", []),
        ("", []),
    ],
)
def test_numbered_lines_are_prompts_and_talk_is_not(reply, expected):
    assert parse(reply) == expected


# ------------------------------------------------------------------------------------------- writing


def test_it_writes_until_there_are_enough_and_none_is_like_another(chosen):
    author = Author()
    found = list(write(chosen(20), "train", author))
    assert len(found) == 20 and {prompt.source for prompt in found} == {"written"}
    distinct = Distinct(0.8)
    assert all(distinct.add(prompt.text) for prompt in found)
    assert {how[:2] for how in author.how} == {(64, 0.9)}


def test_each_request_shows_examples_of_ones_own_or_written_ones(chosen):
    author = Author()
    found = texts(chosen(20), "train", author)
    known = ["two black cats on a roof", "a wooden spoon in a bowl", "snow on a green hill", *found]
    for request in author.requests:
        assert "Write 3 new descriptions" in request
        shown = [line[3:] for line in request.splitlines() if line.startswith(("1. ", "2. ", "3. "))]
        assert len(shown) == 2 and set(shown) <= set(known)
    assert any(text in request for text in found for request in author.requests)


def test_more_are_the_same_and_more_and_splits_and_seeds_differ(chosen):
    few, many = texts(chosen(5), "train", Author()), texts(chosen(20), "train", Author())
    assert many[:5] == few
    assert texts(chosen(5), "dev", Author()) != few != texts(chosen(5, seed=1), "train", Author())


def test_a_model_that_has_nothing_new_to_say_is_one_clear_line(chosen):
    with pytest.raises(ValueError) as error:
        texts(chosen(50, patience=3), "dev", Author(THINGS[:2]))
    line = str(error.value)
    assert line.startswith("prompts.dev: author wrote 4 of 50 prompts, then nothing new in 6 requests: ")
    assert "\n" not in line and "Raise temperature or most_alike" in line


def test_a_template_that_cannot_be_used_is_one_clear_line(chosen, tmp_path):
    with pytest.raises(ValueError, match=r"none\.txt: cannot be read as a template"):
        texts(chosen(1, template=str(tmp_path / "none.txt")), "train", Author())
    (tmp_path / "t.txt").write_text("{% if %}")
    with pytest.raises(ValueError, match=r"t\.txt: cannot be read as a template"):
        texts(chosen(1, template=str(tmp_path / "t.txt")), "train", Author())
    (tmp_path / "t.txt").write_text("Write {{ number }}")
    with pytest.raises(ValueError, match=r"t\.txt: 'number' is undefined; what may stand .*: amount, examples"):
        texts(chosen(1, template=str(tmp_path / "t.txt")), "train", Author())


def test_params_make_a_model_a_source(chosen, tmp_path, monkeypatch):
    """The real model of random weights speaks, but writes no numbered lines."""
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    folder = tiny_text.instruct(tmp_path / "instruct")
    speechless = Source(written=chosen(2, model=folder, tokens=8, patience=2))
    with pytest.raises(ValueError, match=r"prompts\.train: .*instruct wrote 0 of 2 prompts, then nothing new in 4 req"):
        list(sources.prompts_of(speechless, "train"))
    monkeypatch.setattr(sources.language_model, "from_params", lambda chosen, device: Author())
    params = Prompts(**{split: [Source(written=chosen(4))] for split in ("train", "dev", "eval")})
    result = sources.collect(params)
    assert sum(counts["prompts"] + counts["shared"] for _, _, counts in result.values()) == 12
    assert set(result["train"][0]["source"]) == {writing.SOURCE}
