"""The public benchmarks load whole: every prompt and question that the files hold, by another count of them."""

import csv
import json
from collections import Counter

import pytest
from published import published

from versat2i import prompts
from versat2i.prompts import files


@pytest.mark.parametrize(
    "name, rows, questions, distinct, kept",
    [
        ("tifa_v1.0_text_inputs.json", 4081, 0, 4079, 0),
        ("tifa_sample_text_inputs.json", 2, 0, 2, 0),
        ("tifa_sample_question_answers.json", 2, 19, 2, 19),
        ("dsg-1k-anns.csv", 1060, 8182, 1059, 8174),  # two of the 1,060 have the same text and the same 8 questions
        ("geneval_evaluation_metadata.jsonl", 553, 1326, 553, 1326),
        ("PartiPrompts.tsv", 1632, 0, 1632, 0),
        ("t2i_compbench_color_val.txt", 300, 0, 300, 0),
        ("t2i_compbench_complex_val.txt", 300, 0, 300, 0),
        ("t2i_compbench_spatial_val.txt", 300, 0, 300, 0),
    ],
)
def test_every_prompt_and_question_is_there(name, rows, questions, distinct, kept):
    found = files.read(published(name))
    assert (len(found), sum(len(prompt.questions) for prompt in found)) == (rows, questions)
    assert tuple(map(len, prompts.read(published(name)))) == (distinct, kept)


@pytest.mark.parametrize("name", ["dsg-1k-anns.csv", "PartiPrompts.tsv", "geneval_evaluation_metadata.jsonl"])
def test_the_name_of_the_file_does_not_matter(name, tmp_path):
    copy = tmp_path / "prompts"
    copy.write_bytes(published(name).read_bytes())
    given, copied = prompts.read(published(name)), prompts.read(copy)
    for one, other in zip(given, copied, strict=True):
        assert one.drop(columns="source", errors="ignore").equals(other.drop(columns="source", errors="ignore"))


def test_tifa_prompts_are_those_of_the_file_and_know_their_data_set():
    path = published("tifa_v1.0_text_inputs.json")
    found = files.read(path)
    assert [prompt.text for prompt in found] == [entry["caption"] for entry in json.loads(path.read_text())]
    counts = {"coco": 2000, "partiprompt": 1420, "paintskill": 500, "drawbench": 161}
    assert Counter(prompt.category for prompt in found) == counts


def test_tifa_questions_are_those_of_the_file():
    path = published("tifa_sample_question_answers.json")
    found = [question for prompt in files.read(path) for question in prompt.questions]
    fields = ("question", "choices", "answer", "element_type")
    expected = [{field: entry[field] for field in fields} for entry in json.loads(path.read_text())]
    assert [{field: question[field] for field in fields} for question in found] == expected


def test_dsg_questions_are_those_of_the_file_and_depend_on_questions_of_their_prompt():
    path = published("dsg-1k-anns.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = files.read(path)
    found = [(prompt, question) for prompt in read for question in prompt.questions]
    unusual = 0
    for row, (prompt, question) in zip(rows, found, strict=True):
        assert (prompt.text, question["question"]) == (row["text"], row["question_natural_language"])
        assert question["question_id"] == row["proposition_id"]
        assert set(question["parent_ids"]) <= {other["question_id"] for other in prompt.questions}
        assert question["question_id"] not in question["parent_ids"]
        unusual += row["dependency"] != (",".join(question["parent_ids"]) or "0")
    assert Counter(prompt.category for prompt in read)["tifa160"] == 160
    names = {(row["item_id"], row["proposition_id"]) for row in rows}
    depends = {
        (row["item_id"], row["proposition_id"], name.strip()) for row in rows for name in row["dependency"].split(",")
    }
    strangers = [name for item, _, name in depends if name != "0" and (item, name) not in names]
    assert sum(prompt.unknown_parents for prompt in read) == len(strangers) == 18
    assert unusual == 115  # 44 name themselves, 43 a parent twice, 16 one that is not there, 10 a word, ...


def test_geneval_asks_about_everything_that_must_be_seen():
    path = published("geneval_evaluation_metadata.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    things = [thing for entry in entries for thing in entry["include"]]
    asked = Counter(q["element_type"] for prompt in files.read(path) for q in prompt.questions)
    assert asked == {
        "object": len(things),
        "counting": sum(thing["count"] > 1 for thing in things),
        "color": sum("color" in thing for thing in things),
        "spatial": sum("position" in thing for thing in things),
    }
    assert Counter(prompt.category for prompt in files.read(path)) == Counter(entry["tag"] for entry in entries)


def test_partiprompts_are_those_of_the_file_with_their_quotation_marks():
    path = published("PartiPrompts.tsv")
    found = files.read(path)
    lines = [line.split("\t") for line in path.read_text().split("\n")[1:] if line]
    assert [(prompt.text, prompt.category) for prompt in found] == [(line[0], line[1]) for line in lines]
    assert any(prompt.text.startswith('"G I G G L E" painted') for prompt in found)


@pytest.mark.parametrize("subject", ["color", "complex", "spatial"])
def test_compbench_prompts_are_the_lines_of_the_file(subject):
    path = published(f"t2i_compbench_{subject}_val.txt")
    assert [prompt.text for prompt in files.read(path)] == path.read_text().split("\n")[:300]
