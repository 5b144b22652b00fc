"""A JSON file is read as a record, or refused with the place of what is wrong."""

import pytest

from versat2i.formats import records
from versat2i.formats.records import Count, Number, Part


class Box(Part):
    amount: Count
    weight: Number | None = None


def test_a_file_is_a_record_and_may_hold_more(tmp_path):
    (tmp_path / "box.json").write_text('{"amount": 2, "colour": "red"}')
    assert records.read(tmp_path / "box.json", Box) == Box(amount=2)


@pytest.mark.parametrize(
    "text, said",
    [
        ("{}", "amount: field required. Mend it"),
        ('{"amount": -1}', "amount: input should be greater than or equal to 0. Mend it"),
        ('{"amount": 1, "weight": "heavy"}', "weight: input should be a valid number. Mend it"),
        ("[]", "expected a JSON object, found list"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_to_do(tmp_path, text, said):
    path = tmp_path / "box.json"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        records.read(path, Box, "Mend it")
    assert str(error.value).startswith(f"{path}: {said}")
