"""What makes two texts the same prompt, and the tables that prompts form."""

import hashlib
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from versat2i.formats import tables
from versat2i.prompts.records import MAX_LENGTH, Prompt, normalise, prompt_id, to_tables

steady = settings(derandomize=True, max_examples=60, deadline=None)


def clean(text):
    """Whether a text is a prompt at all."""
    try:
        return bool(normalise(text))
    except ValueError:
        return False


texts = st.text(st.characters(codec="utf-8"), max_size=30).filter(clean)


def question(number, prompt="?"):
    return {
        "prompt_id": prompt,
        "question_id": str(number),
        "question": "Is there a star?",
        "choices": ["yes", "no"],
        "answer": "yes",
        "element_type": "object",
        "parent_ids": [],
    }


@pytest.mark.parametrize(
    "one, other",
    [
        ("a  red\tcircle\n", "a red circle"),
        ("\u00a0a red\u2003circle\u3000", "a red circle"),
        ("a red\r\ncircle", "a red circle"),
        ("cafe\u0301", "café"),
        ("\u212b", "Å"),
    ],
)
def test_white_space_and_the_way_a_letter_is_coded_make_no_other_prompt(one, other):
    assert normalise(one) == other
    assert prompt_id(one) == prompt_id(other)


@pytest.mark.parametrize(
    "other", ["A red circle", "a red circle.", "a red\u200bcircle", "\u202ea red circle", "a red circle \U0001f600"]
)
def test_case_punctuation_and_marks_make_another_prompt(other):
    assert prompt_id(other) != prompt_id("a red circle")


def test_an_id_is_the_start_of_the_hash_of_the_text():
    assert prompt_id(" a red  circle") == hashlib.sha256(b"a red circle").hexdigest()[:16]


@steady
@given(texts)
@example("\u0344 \u0301")
@example("\u202e\u2066\U0001f468\u200d\U0001f467")
def test_normalising_again_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert prompt_id(once) == prompt_id(text)
    assert once == once.strip() and unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000\u00a0", "\x1c\x1f"])
def test_nothing_but_white_space_is_no_prompt(text):
    with pytest.raises(ValueError, match="an empty text"):
        normalise(text)


@pytest.mark.parametrize("control", ["\0", "\x07", "\x08", "\x0e", "\x1b", "\x7f", "\ud800", "\udfff"])
def test_control_characters_and_half_characters_are_refused(control):
    with pytest.raises(ValueError, match="control characters"):
        normalise(f"a{control}b")


def test_the_length_counts_after_white_space_is_gone():
    assert len(normalise("x" * MAX_LENGTH + " " * 100)) == MAX_LENGTH
    with pytest.raises(ValueError, match=f"a text of {MAX_LENGTH + 1} characters .* at most {MAX_LENGTH}"):
        normalise("x" * (MAX_LENGTH + 1))


@steady
@given(st.lists(texts, max_size=8))
def test_every_prompt_is_once_in_the_table_and_the_others_are_counted(some):
    found, _, merged = to_tables([Prompt(text, "s", "") for text in some])
    assert list(found["text"]) == list(dict.fromkeys(normalise(text) for text in some))
    assert found["prompt_id"].is_unique
    assert len(found) + merged == len(some)


def test_the_first_of_equals_is_kept_with_its_questions():
    prompts = [
        Prompt("a star", "one", "x", [question(0), question(1)]),
        Prompt("a  star ", "two", "y", [question(2)]),
        Prompt("A star", "three", "z", [question(3)]),
    ]
    texts, questions, merged = to_tables(prompts)
    assert merged == 1
    assert list(texts["source"]) == ["one", "three"]
    assert list(texts["category"]) == ["x", "z"]
    assert list(questions["question_id"]) == ["0", "1", "3"]
    assert list(questions["prompt_id"]) == [prompt_id("a star")] * 2 + [prompt_id("A star")]


def test_questions_are_those_of_the_first_of_equals_that_has_any():
    prompts = [Prompt("a", "one", ""), Prompt("b", "one", "", [question(0)]), Prompt("a ", "two", "", [question(1)])]
    texts, questions, merged = to_tables([*prompts, Prompt("a", "three", "", [question(2)])])
    assert merged == 2
    assert list(texts["source"]) == ["one", "one"]
    assert list(zip(questions["prompt_id"], questions["question_id"], strict=True)) == [
        (prompt_id("a"), "1"),
        (prompt_id("b"), "0"),
    ]


def test_no_prompts_are_tables_with_all_columns():
    texts, questions, merged = to_tables([])
    assert list(texts.columns) == tables.SCHEMAS["prompts"].names
    assert list(questions.columns) == tables.SCHEMAS["questions"].names
    assert merged == 0


def test_the_tables_are_those_of_the_pipeline(tmp_path):
    texts, questions, _ = to_tables([Prompt("a star", "s", "", [question(0)]), Prompt("\u202eb", "s", "")])
    for kind, table in (("prompts", texts), ("questions", questions)):
        tables.write(kind, table, tmp_path / f"{kind}.parquet")
        assert len(tables.read(kind, tmp_path / f"{kind}.parquet")) == len(table)
