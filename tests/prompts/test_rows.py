"""A cell of a file is a text, a word or a list of words, or refused with its place."""

import pytest

from versat2i.prompts.rows import Row, text_column


def row(**values):
    return Row("p.csv: line 3", values)


def refused(read, column):
    with pytest.raises(ValueError) as error:
        read(column)
    return str(error.value)


def test_a_text_stays_as_it_stands_there():
    assert row(text="  A  star \n").text("text") == "  A  star \n"


@pytest.mark.parametrize("value", [None, "", " \t", 3, ["a"]])
def test_what_is_no_text_is_shown_with_its_place(value):
    assert refused(row(text=value).text, "text") == f"p.csv: line 3: text is {value!r}, expected a text"


def test_a_column_that_is_not_there_is_no_text():
    assert refused(row().text, "text") == "p.csv: line 3: text is None, expected a text"


def test_a_word_is_a_text_without_needless_white_space_or_a_whole_number():
    assert row(answer=" two\n red ").word("answer") == "two red"
    assert row(answer=2).word("answer") == "2"
    for value in (True, 2.5):
        assert f"answer is {value!r}, expected a text" in refused(row(answer=value).word, "answer")


def test_nothing_is_an_empty_word_where_it_may_be_left_out():
    cells = ({}, {"type": None}, {"type": ""}, {"type": " "}, {"type": 7})
    assert [row(**cell).optional("type") for cell in cells] == ["", "", "", "", "7"]


@pytest.mark.parametrize(
    "value, expected",
    [
        (["yes", 2], ["yes", "2"]),
        ('["yes", 2]', ["yes", "2"]),  # as in a cell of a csv file
        (None, []),
        ("", []),
        ([], []),
    ],
)
def test_a_list_of_words_may_stand_in_a_cell_as_json(value, expected):
    assert row(choices=value).words("choices") == expected


@pytest.mark.parametrize(
    "value, problem",
    [
        ("yes, no", "choices is 'yes, no', expected a list such as"),
        ('{"a": 1}', "expected a list of texts"),
        (3, "choices is 3, expected a list of texts"),
        (["yes", None], "choices is None, expected a text"),
        (["yes", [1]], "choices is [1], expected a text"),
    ],
)
def test_what_is_no_list_of_words_is_shown_with_its_place(value, problem):
    line = refused(row(choices=value).words, "choices")
    assert line.startswith("p.csv: line 3: ") and problem in line


def test_the_prompts_stand_in_the_first_of_three_columns_that_is_there():
    assert text_column({"caption", "prompt", "text"}) == "text"
    assert text_column({"caption", "prompt", "id"}) == "prompt"
    assert text_column({"caption", "id"}) == "caption"
    assert text_column({"Text", "id"}) is None
