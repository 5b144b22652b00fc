"""Questions that stand in a file come with their prompts; what is wrong with one is named."""

import json
from collections import Counter

import pandas as pd
import pytest

from versat2i.prompts import files
from versat2i.prompts.questions import origin

PARENT = {"text": "a red star", "question": "Is there a star?", "answer": "yes", "question_id": "s"}
CHILD = {
    "text": "a red star",
    "question": "What color is the star?",
    "choices": ["red", "blue"],
    "answer": "red",
    "question_id": "c",
    "element_type": "color",
    "parent_ids": ["s"],
}
DSG = "item_id,text,proposition_id,dependency,category_broad,category_detailed,question_natural_language\n"


@pytest.fixture
def read(tmp_path):
    """``read(rows)``: the prompts of a jsonl file with these rows, or of a csv file with this text."""

    def from_file(content):
        path = tmp_path / "p"
        rows = [content] if isinstance(content, str) else [json.dumps(row) + "\n" for row in content]
        path.write_text("".join(rows))
        return files.read(path)

    return from_file


def refused(read, content):
    with pytest.raises(ValueError) as error:
        read(content)
    assert "\n" not in str(error.value)
    return str(error.value)


def ids(prompt):
    return [question["question_id"] for question in prompt.questions]


def parents(prompt):
    return [question["parent_ids"] for question in prompt.questions]


# --------------------------------------------------------------------------------- TIFA's and one's own


def test_a_question_has_every_field_of_the_table_but_the_prompt(read):
    (prompt,) = read([PARENT, CHILD])
    assert (prompt.text, prompt.source, prompt.category) == ("a red star", "p", "")
    yes_or_no = {"choices": ["yes", "no"], "element_type": "", "parent_ids": []}
    assert prompt.questions == [
        {key: value for key, value in (PARENT | yes_or_no).items() if key != "text"},
        {key: value for key, value in CHILD.items() if key != "text"},
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_lists_are_json_in_cells_and_lists_in_parquet(tmp_path, kind, read):
    rows = [PARENT | {"choices": ["yes", "no"], "parent_ids": [], "element_type": ""}, CHILD]
    if kind == "csv":
        lists = {"choices": json.dumps, "parent_ids": json.dumps}
        rows = [row | {key: write(row[key]) for key, write in lists.items()} for row in rows]
    path = tmp_path / f"q.{kind}"
    getattr(pd.DataFrame(rows), f"to_{kind}")(path, index=False)
    assert files.read(path)[0].questions == read([PARENT, CHILD])[0].questions


def test_rows_of_a_prompt_belong_together_wherever_they_stand(read):
    other = PARENT | {"text": "a blue star"}
    found = read([PARENT, other, CHILD | {"text": " a  red star"}])
    assert [prompt.text for prompt in found] == ["a red star", "a blue star"]
    assert [ids(prompt) for prompt in found] == [["s", "c"], ["s"]]


def test_questions_without_ids_are_numbered_and_asked_once(read):
    named = ("question_id", "parent_ids")
    rows = [{key: value for key, value in row.items() if key not in named} for row in (PARENT, CHILD, PARENT)]
    (prompt,) = read([*rows, rows[0] | {"answer": "no"}])
    assert ids(prompt) == ["0", "1", "2"]
    assert [question["answer"] for question in prompt.questions] == ["yes", "red", "no"]


def test_numbers_may_be_choices_and_answers(read):
    (prompt,) = read([PARENT | {"choices": [1, 2, 3], "answer": 2}])
    assert prompt.questions[0]["choices"] == ["1", "2", "3"]
    assert prompt.questions[0]["answer"] == "2"


def test_the_category_is_that_of_the_file_or_the_data_set_that_tifa_names(read):
    caption = {"caption": "a star", "id": "coco_1"}
    assert [prompt.category for prompt in read([caption, caption | {"category": "x"}, {"caption": "b", "id": 7}])] == [
        "coco",
        "x",
        "",
    ]


@pytest.mark.parametrize(
    "name, data_set",
    [("coco_301091", "coco"), ("localized_narratives_95", "localized_narratives"), ("7", ""), ("_7", ""), ("", "")],
)
def test_an_id_names_its_data_set_before_the_number(name, data_set):
    assert origin(name) == data_set


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"question": ""}, "question is '', expected a text"),
        ({"question": None}, "question is None, expected a text"),
        ({"answer": "green"}, "the answer 'green' is none of the choices red, blue"),
        ({"answer": True}, "answer is True, expected a text"),
        ({"choices": "red"}, 'choices is \'red\', expected a list such as ["yes", "no"]'),
        ({"choices": {"red": 1}}, "choices is {'red': 1}, expected a list of texts"),
        ({"choices": ["red", None]}, "choices is None, expected a text"),
        ({"choices": ["red", "red"]}, "'red' is the only choice, expected at least two"),
        ({"question_id": "s"}, "question_id s is there twice for one prompt"),
        ({"question_id": None}, "question_id is None, expected a text"),
        ({"parent_ids": ["x"]}, "parent_ids names 'x', which is no other question of the prompt"),
        ({"parent_ids": ["c"]}, "parent_ids names 'c', which is no other question of the prompt"),
        ({"text": "another star"}, "parent_ids names 's', which is no other question of the prompt"),
    ],
)
def test_what_is_wrong_with_a_question_is_said_with_its_line(read, tmp_path, change, problem):
    line = 1 if "twice" in problem else 2  # both rows have the id, the first is named
    assert refused(read, [PARENT, CHILD | change]) == f"{tmp_path / 'p'}: line {line}: {problem}"


def test_parents_need_names(read):
    nameless = {key: value for key, value in CHILD.items() if key != "question_id"}
    assert "parent_ids needs a column question_id" in refused(read, [nameless])


def test_a_question_without_an_answer_column_is_refused(read):
    rows = [{"text": "a star", "question": "Is there a star?"}]
    assert "has question but no column answer (found: question, text)" in refused(read, rows)


# --------------------------------------------------------------------------------------------- DSG


def test_dsg_rows_are_yes_or_no_questions_with_parents(read):
    first, second = read(
        DSG
        + "whoops_5,a red star,1,0,entity,whole,Is there a star?\n"
        + 'whoops_5,a red star,2,"1",attribute,color,Is the star red?\n'
        + "vrd_1,a photo,1,0,global,-,Is this a photo?\n"
    )
    assert (first.text, first.category, second.category) == ("a red star", "whoops", "vrd")
    assert (ids(first), parents(first)) == (["1", "2"], [[], ["1"]])
    assert [question["element_type"] for question in first.questions] == ["entity - whole", "attribute - color"]
    assert second.questions == [
        {
            "question_id": "1",
            "question": "Is this a photo?",
            "choices": ["yes", "no"],
            "answer": "yes",
            "element_type": "global",
            "parent_ids": [],
        }
    ]


@pytest.mark.parametrize(
    "dependency, expected, unknown",
    [
        ("0", [], 0),
        ("1", ["1"], 0),
        ("1,2", ["1", "2"], 0),
        ("2, 1", ["2", "1"], 0),
        ("1,1", ["1"], 0),
        ("1,3", ["1"], 0),
        ("2, air", ["2"], 1),
        ("9", [], 1),
        ("9, air, air", [], 2),
        ("", [], 0),
        ("nan", [], 0),
        ("1.0", ["1"], 0),  # pandas writes numbers so where some are missing
        ("[1, 2]", ["1", "2"], 0),
    ],
)
def test_a_dependency_on_itself_is_left_out_and_one_on_no_question_is_counted_too(read, dependency, expected, unknown):
    rows = [f"a_1,a star,{n},0,,,Is it?\n" for n in (1, 2)] + [f'a_1,a star,3,"{dependency}",,,Is it?\n']
    (prompt,) = read(DSG + "".join(rows))
    assert parents(prompt) == [[], [], expected]
    assert prompt.unknown_parents == unknown


@pytest.mark.parametrize(
    "dependency, expected", [(None, []), ([], []), ([0], []), ([1], ["1"]), (["1"], ["1"]), (1, ["1"]), (1.0, ["1"])]
)
def test_a_dependency_may_be_a_list_a_number_or_nothing(read, dependency, expected):
    rows = [
        {
            "item_id": "a_1",
            "text": "a star",
            "proposition_id": n,
            "dependency": d,
            "question_natural_language": "Is it?",
        }
        for n, d in ((1, None), (2, dependency))
    ]
    (prompt,) = read(rows)
    assert parents(prompt) == [[], expected]


def test_dsg_items_of_the_same_text_keep_their_own_questions(read):
    rows = [f"a_{n},a star,1,0,,,Is there a star?\n" for n in (1, 2)]
    assert [ids(prompt) for prompt in read(DSG + "".join(rows))] == [["1"], ["1"]]


@pytest.mark.parametrize(
    "row, problem",
    [
        ("a_1,a star,1,0,,,Is it red?\n", "line 2: proposition_id 1 is there twice for one prompt"),
        ("a_1,a cross,2,0,,,Is it red?\n", "line 3: the text of a_1 is not that of its other rows: 'a cross'"),
        ("a_1,a star,2,0,,,\n", "line 3: question_natural_language is '', expected a text"),
    ],
)
def test_what_is_wrong_with_a_dsg_row_is_said_with_its_line(read, row, problem):
    assert refused(read, DSG + "a_1,a star,1,0,,,Is it?\n" + row).endswith(problem)


def test_a_dsg_file_without_one_of_its_columns_is_refused(read):
    content = "item_id,text,proposition_id,question_natural_language\na_1,a star,1,Is it?\n"
    assert "has question_natural_language but no column dependency (found: " in refused(read, content)


# --------------------------------------------------------------------------------------- GenEval 2


def test_geneval_2_asks_its_own_questions(read):
    pairs = [["How many cups are there?", "two"], ["Is the kite red?", "Yes"], ["What color is the lake?", "blue"]]
    (prompt,) = read([{"prompt": "a red kite and two cups", "vqa_list": pairs, "skills": ["count", "attribute", "x"]}])
    found = [(q["question"], q["answer"], q["element_type"]) for q in prompt.questions]
    assert found == [
        ("How many cups are there?", "2", "count"),
        ("Is the kite red?", "yes", "attribute"),
        ("What color is the lake?", "blue", "x"),
    ]
    assert [len(question["choices"]) for question in prompt.questions] == [5, 2, 10]


def test_a_question_of_geneval_2_without_choices_is_left_out_and_counted(tmp_path):
    row = {"prompt": "a kite", "vqa_list": [["Is there a kite?", "yes"], ["What does it do?", "fly"]]}
    (tmp_path / "p").write_text(json.dumps(row))
    counts = Counter()
    (prompt,) = files.read(tmp_path / "p", counts=counts)
    assert ids(prompt) == ["0"] and counts == {"unasked": 1}


def test_a_vqa_list_of_another_shape_is_refused_with_its_line(read):
    assert "line 1: vqa_list is expected to hold pairs" in refused(read, [{"prompt": "a", "vqa_list": ["Is it?"]}])
