"""GenEval's metadata says what must be seen; the questions ask for that and nothing else."""

import json

import pytest

from versat2i.prompts import files
from versat2i.prompts.geneval import COLORS


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
    "include, problem",
    [
        ([{"class": "bench"}], "include.0.count is {'class': 'bench'}: field required"),
        ([thing("bench", 0)], "include.0.count is 0: input should be greater than or equal to 1"),
        ("bench", "include is 'bench': input should be a valid list"),
        ([thing("cow")], "the prompt does not name 'cow', which must be seen"),
        ([thing("bench", color="teal")], "the color 'teal' is none of red, orange"),
        ([thing("bench", position=["left of", 1])], "bench is placed beside thing 1, but there are 1"),
    ],
)
def test_what_geneval_would_not_write_is_named_with_its_line(read, include, problem):
    with pytest.raises(ValueError, match=r"p\.jsonl: line 1: ") as error:
        read("a photo of a bench", include=include)
    assert problem in str(error.value)
