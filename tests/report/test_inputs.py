"""A metrics file that holds less than the page shows is named, with the place in it."""

import json

import pytest

from versat2i.compare.results import Evaluation, Groups
from versat2i.formats import records
from versat2i.report import inputs

SELECTION = {"candidates": 8, "abstained": 1, "prompts": 4, "prompts_without_pick": 1, "picks": 3, "pool_mean": 0.5}
CELL = {"abstained": 0, "mean": 0.5}
EVALUATION = {"summary": {"mixture": {"score": 0.3}}, "base": {"tifa": CELL}}


@pytest.fixture
def put(tmp_path):
    """``put(content)`` writes a metrics file."""

    def write(content):
        (tmp_path / "m.json").write_text(json.dumps(content))
        return tmp_path / "m.json"

    return write


@pytest.mark.parametrize(
    "content, shape",
    [
        (SELECTION, inputs.Selection),
        (SELECTION | {"more": [1]}, inputs.Selection),  # what the page does not show is none of its business
        (EVALUATION, Evaluation),
        ({"seen": EVALUATION}, Groups),
    ],
)
def test_a_file_that_holds_what_is_shown_is_read_as_it_is(put, content, shape):
    assert records.read(put(content), shape) == shape.model_validate(content)


@pytest.mark.parametrize(
    "content, shape, place",
    [
        ({name: SELECTION[name] for name in SELECTION if name != "picks"}, inputs.Selection, "picks: field required"),
        (SELECTION | {"picks": -1}, inputs.Selection, "picks: input should be greater than or equal to 0"),
        (SELECTION | {"picks": "3"}, inputs.Selection, "picks: input should be a valid integer"),
        (SELECTION | {"pool_mean": True}, inputs.Selection, "pool_mean: input should be a valid number"),
        (EVALUATION | {"base": {"tifa": {"mean": 0.5}}}, Evaluation, "base.tifa.abstained: field required"),
        ({"base": {"tifa": CELL}}, Evaluation, "summary: field required"),
        ({"seen": {"summary": {"mixture": {"score": "x"}}}}, Groups, "seen.summary.mixture.score: input should"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_named_by_its_place(put, content, shape, place):
    path = put(content)
    with pytest.raises(ValueError) as error:
        records.read(path, shape)
    line = str(error.value)
    assert line.startswith(f"{path}: {place}") and line.endswith(". Run `dvc repro`") and "\n" not in line
