"""OneIG-Bench in the form that its authors publish; the examples here are written for the test."""

import json

import pytest

from versat2i.prompts import files, sources
from versat2i.settings.sources import Source

PROMPTS = (
    "category,id,prompt_en,type,prompt_length,class\n"
    'General_Object,000,"a (very:1.2) red fox, on snow",NP,short,animal\n'
    'Anime_Stylization,000,"1girl, a red kite",T,short,\n'
    "General_Object,001,a blue cup,NP,short,\n"
    'Text_Rendering,000,"a sign that says ""Open""",NP,short,\n'
)
FOX = {
    "question": json.dumps({"1": "Is there a fox?", "2": "Is the fox red?", "3": "Is it on snow?"}),
    "dependency": json.dumps({"1": [0], "2": [1], "3": [1, 0]}),
}
KITE = {"question": {"1": "Is there a kite?"}, "dependency": {"1": [0]}}  # its scorer takes objects too


def published(folder, **asked):
    """A folder with the prompts, and the files of questions in one below."""
    (folder / "OneIG-Bench.csv").write_text(PROMPTS)
    (folder / "Q_D").mkdir()
    for name, entries in asked.items():
        (folder / "Q_D" / f"{name}.json").write_text(json.dumps(entries, ensure_ascii=False))
    return folder


def told(folder, questions="Q_D", file="OneIG-Bench.csv"):
    return list(sources.prompts_of(Source(file=str(folder / file), questions=str(folder / questions)), "train"))


def brief(prompt):
    return [(q["question_id"], q["question"], q["answer"], q["parent_ids"]) for q in prompt.questions]


ABOUT_THE_FOX = [
    ("1", "Is there a fox?", "yes", []),
    ("2", "Is the fox red?", "yes", ["1"]),
    ("3", "Is it on snow?", "yes", ["1"]),
]


@pytest.mark.parametrize("column, prompt", [("prompt_en", "a (very:1.2) red fox"), ("prompt_cn", "一只红色的狐狸")])
def test_oneig_bench_is_read_in_both_languages_to_the_letter(tmp_path, column, prompt):
    path = tmp_path / "OneIG-Bench.csv"
    path.write_text(f'category,id,{column},type,prompt_length,class\nGeneral_Object,007,"{prompt}",NP,short,animal\n')
    (found,) = files.read(path)
    assert (found.text, found.category) == (prompt, "General_Object")


def test_a_folder_asks_about_each_class_by_its_own_file(tmp_path):
    fox, kite, cup, sign = told(published(tmp_path, object={"000": FOX}, anime={"000": KITE}))
    assert brief(fox) == ABOUT_THE_FOX
    assert brief(kite) == [("1", "Is there a kite?", "yes", [])]
    assert (cup.questions, sign.questions) == ([], [])
    assert all(q["choices"] == ["yes", "no"] for q in fox.questions)


def test_one_file_asks_about_its_class_alone(tmp_path):
    fox, *others = told(published(tmp_path, object={"000": FOX}, anime={"000": KITE}), "Q_D/object.json")
    assert brief(fox) == ABOUT_THE_FOX and not any(prompt.questions for prompt in others)


def test_prompts_in_chinese_are_asked_about_by_files_of_their_own(tmp_path):
    folder = published(tmp_path, object={"000": FOX}, object_zh={"000": KITE})
    (folder / "zh.csv").write_text("category,id,prompt_cn,class\nGeneral_Object,000,一只红色的狐狸,\n")
    assert brief(told(folder, file="zh.csv")[0]) == [("1", "Is there a kite?", "yes", [])]
    with pytest.raises(ValueError, match=r"asks about none of the 1 prompts of zh\.csv.* files whose names end in _zh"):
        told(folder, "Q_D/object.json", "zh.csv")


def test_an_id_that_lost_its_zeros_is_known(tmp_path):
    folder = published(tmp_path, object={"001": FOX})
    (folder / "OneIG-Bench.csv").write_text("category,id,prompt_en\nGeneral_Object,1,a red fox\n")
    assert brief(told(folder)[0]) == ABOUT_THE_FOX


def test_what_is_left_out_of_the_prompts_moves_no_question(tmp_path):
    folder = published(tmp_path, object={"000": FOX}, anime={"000": KITE})
    (folder / "words.txt").write_text("fox\n")
    source = {"file": str(folder / "OneIG-Bench.csv"), "questions": str(folder / "Q_D")}
    kite, *_ = sources.prompts_of(Source(**source, refuse={"words": str(folder / "words.txt")}), "train")
    assert brief(kite) == [("1", "Is there a kite?", "yes", [])]


def test_dependencies_on_what_is_no_question_are_counted_and_left_out(tmp_path):
    entry = FOX | {"dependency": {"1": [0], "2": [2, 7], "3": [1, 9]}}
    fox, *_ = told(published(tmp_path, object={"000": entry}))
    assert [q["parent_ids"] for q in fox.questions] == [[], [], ["1"]] and fox.unknown_parents == 2


@pytest.mark.parametrize(
    "entry, problem",
    [
        (FOX | {"question": "Is there a fox?"}, r"question is 'Is there a fox\?', expected an object"),
        (FOX | {"question": {}}, "question is {}, expected an object"),
        (FOX | {"question": {"1": ""}}, "1 is '', expected a text"),
        (FOX | {"dependency": {"1": "x"}}, "dependency of question 1 is 'x', expected a list of numbers of questions"),
        (FOX | {"dependency": {"1": ["a"]}}, r"dependency of question 1 is \['a'\], expected a list of numbers"),
    ],
)
def test_questions_that_are_not_as_they_should_be_are_named(tmp_path, entry, problem):
    with pytest.raises(ValueError, match=rf"object\.json: 000: {problem}"):
        told(published(tmp_path, object={"000": entry}))


def test_an_entry_that_is_no_object_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"object\.json: 001 is str, expected an object with question and dependency"):
        told(published(tmp_path, object={"000": FOX, "001": "x"}))


def test_a_folder_without_questions_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Q_D: no file of OneIG-Bench's questions here, such as anime\.json"):
        told(published(tmp_path))


def test_questions_about_a_file_of_other_prompts_are_refused(tmp_path):
    folder = published(tmp_path, object={"000": FOX})
    (folder / "mine.txt").write_text("a red fox\n")
    with pytest.raises(ValueError, match=r"asks about none of the 1 prompts of mine\.txt"):
        told(folder, file="mine.txt")
