"""What is written can be read again, and what cannot be read is one line that says what to do."""

import pandas as pd
import pytest

from versat2i.formats import metrics


def test_json_comes_back_as_it_was(tmp_path):
    content = {"b": 1, "a": {"c": [1.5, "é"]}}
    metrics.write_json(content, tmp_path / "x" / "a.json")
    assert metrics.read_json(tmp_path / "x" / "a.json") == content


def test_a_table_comes_back_as_it_was(tmp_path):
    frame = pd.DataFrame({"step": [1, 2], "loss": [0.5, 0.25]})
    metrics.write_csv(frame, tmp_path / "a.csv")
    assert metrics.read_csv(tmp_path / "a.csv", ["step", "loss"]).equals(frame)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "there is no such file"),
        (b'<<<<<<< HEAD\n{"a": 1}\n=======\n{"a": 2}\n>>>>>>> other\n', "line 1 is git's mark of a conflict"),
        (b'{\n"a": 1,\n<<<<<<< HEAD\n"b": 1\n=======\n', "line 3 is git's mark of a conflict"),
        (b"{", "not readable JSON"),
        (b"\xff", "not readable JSON"),
        (b"[]", "object"),
        (b'{"a": NaN}', "holds NaN"),
        (b"[" * 50_000, "not readable JSON"),
    ],
)
def test_what_is_no_json_object_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.json: .*{message}") as error:
        metrics.read_json(path)
    assert "dvc repro" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "there is no such table"),
        (b"", "not a readable table"),
        (b"\xff\xfe", "not a readable"),
        (b"a,b\n", "loss"),
        (b"step,loss\n1,x\n", "column 'loss' holds what is no number"),
        (b"step,loss\n1,\n", "column 'loss' holds what is no number"),
        (b"step,loss\n1,inf\n", "column 'loss' holds what is no number"),
        (b"step,loss\n1,2,3\n1,2,3,4\n", "not a readable table"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.csv: .*{message}") as error:
        metrics.read_csv(path, ["step", "loss"])
    assert "dvc repro" in str(error.value) and "\n" not in str(error.value)
