"""One line for what pydantic found, whatever the content was; `test_params` has the errors of settings."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from versat2i.settings import complaints


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    margin: float


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    parts: dict[str, Part]


def said(content):
    with pytest.raises(ValidationError) as error:
        Whole.model_validate(content)
    return complaints.line(error.value.errors()[0], Whole)


@pytest.mark.parametrize(
    "content, line",
    [
        ({"parts": {"a": {"margin": [1]}}}, "parts.a.margin is [1]: input should be a valid number"),
        ({"parts": {"a": {}}}, "parts.a.margin is missing"),
        ({"parts": {}, "margn": 1.0}, "margn is not a parameter. Did you mean 'margin'?"),
        ({"parts": {}, "a\nb\tc": 1}, "a b c is not a parameter"),
    ],
)
def test_an_error_says_where_it_stands_and_what_was_found(content, line):
    assert said(content).startswith(line) and "\n" not in said(content)


def test_a_long_name_and_a_long_value_are_cut():
    assert len(said({"parts": {}, "x" * 10_000: 1})) < 250
    assert len(said({"parts": {"x" * 10_000: {"margin": "y" * 10_000}}})) < 550
