"""GenEval's metadata says what must be seen; the questions ask for that and nothing else."""

import json
from collections import Counter

import pytest

from versat2i.prompts import files
from versat2i.prompts.geneval import COLORS, plural


@pytest.fixture
def read(tmp_path):
    """``read(prompt, *things)``: the prompt of a file with this one."""

    def from_file(prompt, *things, **others):
        row = {"tag": "some", "include": list(things), "prompt": prompt} | others
        (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
        (found,) = files.read(tmp_path / "p.jsonl")
        return found

    return from_file


def thing(name, count=1, **others):
    return {"class": name, "count": count, **others}


def brief(prompt):
    return [
        (q["question_id"], q["question"], q["answer"], q["element_type"], q["parent_ids"]) for q in prompt.questions
    ]


def test_objects_are_asked_for_by_name(read):
    prompt = read("a photo of an orange and a bench", thing("orange"), thing("bench"))
    assert prompt.category == "some"
    assert brief(prompt) == [
        ("0", "Is there an orange?", "yes", "object", []),
        ("1", "Is there a bench?", "yes", "object", []),
    ]


def test_a_number_is_asked_for_in_the_words_of_the_prompt(read):
    prompt = read("a photo of four toothbrushs", thing("toothbrush", 4), exclude=[thing("toothbrush", 5)])
    assert brief(prompt) == [
        ("0", "Are there toothbrushs?", "yes", "object", []),
        ("1", "How many toothbrushs are there?", "4", "counting", ["0"]),
    ]
    assert prompt.questions[1]["choices"] == ["1", "2", "3", "4", "5"]
    assert read("nine bears", thing("bear", 9)).questions[1]["choices"][-1] == "10"


def test_a_color_is_one_of_those_that_geneval_tells_apart(read):
    prompt = read("a photo of a blue fire hydrant", thing("fire hydrant", color="blue"))
    assert brief(prompt)[1] == ("1", "What color is the fire hydrant?", "blue", "color", ["0"])
    assert tuple(prompt.questions[1]["choices"]) == COLORS


def test_a_position_depends_on_both_things(read):
    prompt = read("a photo of a dog right of a teddy bear", thing("teddy bear"), thing("dog", position=["right of", 0]))
    assert brief(prompt)[2] == ("2", "Is the dog right of the teddy bear?", "yes", "spatial", ["1", "0"])


def test_nothing_is_asked_about_one_of_two_things_of_a_name(read):
    prompt = read("a red apple and a green apple", thing("apple", color="red"), thing("apple", color="green"))
    assert [question["element_type"] for question in prompt.questions] == ["object", "object"]


@pytest.mark.parametrize(
    "prompt, name, count, noun",
    [
        ("three sharp knives on a board", "knife", 3, "knives"),
        ("two gaming mice", "computer mouse", 2, "computer mice"),  # not by that name
        ("two computer mice", "computer mouse", 2, "computer mice"),
        ("several people, four in all", "person", 4, "people"),
        ("two buses", "bus", 2, "buses"),
        ("two benchs", "bench", 2, "benchs"),  # as GenEval writes it
        ("a flock of three sheep", "sheep", 3, "sheep"),
        ("a carefully polished red car on a carpet", "car", 1, "car"),
        ("a cupboard with a cup in it", "cup", 1, "cup"),
        ("Clock hands at noon", "clock", 1, "clock"),
        ("an old TV", "tv", 1, "TV"),
        ("one zebra beside another zebra", "zebra", 2, "zebras"),
        ("one of the benches", "bench", 1, "bench"),
    ],
)
def test_a_thing_is_asked_for_as_the_prompt_calls_it_never_by_a_word_that_begins_like_it(
    read, prompt, name, count, noun
):
    article = "an" if noun[0] in "aeiou" else "a"
    expected = f"Is there {article} {noun}?" if count == 1 else f"Are there {noun}?"
    assert read(prompt, thing(name, count)).questions[0]["question"] == expected


def test_a_thing_that_the_prompt_does_not_name_is_asked_for_by_its_own_name_and_counted(tmp_path):
    row = {"include": [thing("potted plant"), thing("bench")], "prompt": "A green plant in a clay pot by two benches"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    counts = Counter()
    (prompt,) = files.read(tmp_path / "p.jsonl", counts=counts)
    assert [question["question"] for question in prompt.questions] == ["Is there a potted plant?", "Is there a bench?"]
    assert counts == {"unnamed": 1}


def test_every_class_of_geneval_has_a_plural():
    odd = {"knife": "knives", "person": "people", "bus": "buses", "couch": "couches", "sandwich": "sandwiches"}
    odd |= {"wine glass": "wine glasses", "computer mouse": "computer mice", "scissors": "scissors", "kite": "kites"}
    odd |= {"toothbrush": "toothbrushes", "hair drier": "hair driers", "skis": "skis", "giraffe": "giraffes"}
    assert {name: plural(name) for name in odd} == odd


@pytest.mark.parametrize(
    "include, problem",
    [
        ([{"class": "bench"}], "include.0.count is {'class': 'bench'}: field required"),
        ([thing("bench", 0)], "include.0.count is 0: input should be greater than or equal to 1"),
        ("bench", "include is 'bench': input should be a valid list"),
        ([thing("bench", color="teal")], "the color 'teal' is none of red, orange"),
        ([thing("bench", position=["left of", 1])], "bench is placed beside thing 1, but there are 1"),
    ],
)
def test_what_geneval_would_not_write_is_named_with_its_line(read, include, problem):
    with pytest.raises(ValueError, match=r"p\.jsonl: line 1: ") as error:
        read("a photo of a bench", include=include)
    assert problem in str(error.value)
