"""Benchmarks in the forms that their authors publish; the examples here are written for the test."""

import json
from collections import Counter

import pytest

from versat2i.prompts import files, sources
from versat2i.settings.sources import Source


def lines(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def brief(prompt):
    return [(q["question"], q["answer"], q["parent_ids"]) for q in prompt.questions]


SIGN = 'a sign: "Open --n 2"'


def test_longtext_bench_is_prompted_with_its_prompt_not_with_the_words_to_be_written(tmp_path):
    row = {
        "prompt_id": 3,
        "category": "Signs",
        "length": "short",
        "prompt": SIGN,
        "text": ["Open --n 2"],
    }
    (found,) = files.read(lines(tmp_path / "text_prompts.jsonl", row))
    assert (found.text, found.category, found.questions) == (SIGN, "Signs", [])


def test_wise_has_prompts_with_both_categories(tmp_path):
    row = {
        "prompt_id": 1,
        "Prompt": "the sweets of a spring feast",
        "Explanation": "rice cakes",
        "Category": "Culture",
        "Subcategory": "Food",
    }
    (tmp_path / "wise.json").write_text(json.dumps([row]))
    (found,) = files.read(tmp_path / "wise.json")
    assert (found.text, found.category) == ("the sweets of a spring feast", "Culture - Food")


SHORT = {"type": "color", "short_description": "a red kite", "long_description": "A kite, bright red, flies."}
ASKED = {"type": "color", "yn_question_list": ["Is there a kite?", "Is it blue?"], "yn_answer_list": ["Yes", "no"]}
ANSWERS = [("Is there a kite?", "yes", []), ("Is it blue?", "no", [])]


def test_tiif_bench_has_two_prompts_a_row_with_the_same_questions(tmp_path):
    found = files.read(lines(tmp_path / "p.jsonl", SHORT | ASKED))
    assert [prompt.text for prompt in found] == ["a red kite", "A kite, bright red, flies."]
    assert [brief(prompt) for prompt in found] == [ANSWERS, ANSWERS]
    assert {prompt.category for prompt in found} == {"color"}


def test_tiif_bench_has_its_questions_in_a_file_of_their_own_line_by_line(tmp_path):
    prompts = lines(tmp_path / "p.jsonl", SHORT, SHORT | {"short_description": "a cup", "long_description": "One cup."})
    asked = lines(
        tmp_path / "q.jsonl", ASKED, ASKED | {"yn_question_list": ["Is there a cup?"], "yn_answer_list": ["yes"]}
    )
    found = list(sources.prompts_of(Source(file=str(prompts), questions=str(asked)), "train"))
    assert [brief(prompt) for prompt in found[:2]] == [ANSWERS, ANSWERS]
    assert [brief(prompt) for prompt in found[2:]] == [[("Is there a cup?", "yes", [])]] * 2


@pytest.mark.parametrize(
    "asked, problem",
    [
        ([ASKED, ASKED], r"q\.jsonl: asks about 2 rows of prompts, p\.jsonl holds 2 prompts"),
        (
            [ASKED | {"type": "shape"}],
            r"q\.jsonl: line 1: its type is 'shape', that of the prompt",
        ),
        ([ASKED | {"yn_answer_list": ["yes"]}], "holds 2 questions, yn_answer_list 1 answers"),
        ([ASKED | {"yn_answer_list": ["yes", "maybe"]}], "holds 'maybe', expected yes or no"),
    ],
)
def test_questions_of_tiif_bench_that_do_not_fit_are_named(tmp_path, asked, problem):
    source = Source(file=str(lines(tmp_path / "p.jsonl", SHORT)), questions=str(lines(tmp_path / "q.jsonl", *asked)))
    with pytest.raises(ValueError, match=problem):
        list(sources.prompts_of(source, "train"))


def test_dpg_bench_is_read_as_dsg_is_with_the_question_that_its_scorer_leaves_out(tmp_path):
    path = tmp_path / "dpg_bench.csv"
    path.write_text(
        "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,"
        "question_natural_language\n"
        'm0,"A red kite, two hills",kite,1,0,entity,whole,entity - whole (kite),Is there a kite?\n'
        'm0,"A red kite, two hills",kite,2,"1",attribute,color,"color (kite, red)",Is the kite red?\n'
        'm0,"A red kite, two hills",kite,3,"1, 2",relation,spatial,relation,Is it over the hills?\n'
    )
    (found,) = files.read(path)
    assert brief(found) == [
        ("Is there a kite?", "yes", []),
        ("Is the kite red?", "yes", ["1"]),
        ("Is it over the hills?", "yes", ["1", "2"]),
    ]
    assert [q["element_type"] for q in found.questions][1] == "attribute - color"


def test_geneval_2_has_its_own_questions(tmp_path):
    row = {
        "prompt": "three red kites",
        "atom_count": 2,
        "vqa_list": [
            ["How many kites are there?", "three"],
            ["Are the kites red?", "Yes"],
            ["What is it made of?", "paper"],
        ],
        "skills": ["count", "attribute", "attribute"],
    }
    counts = Counter()
    (found,) = files.read(lines(tmp_path / "geneval2_data.jsonl", row), counts=counts)
    assert [(q["question"], q["answer"], q["element_type"]) for q in found.questions] == [
        ("How many kites are there?", "3", "count"),
        ("Are the kites red?", "yes", "attribute"),
    ]
    assert counts == {"unasked": 1}
