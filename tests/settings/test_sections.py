"""A section is strict: what it does not know, or would have to guess, is an error."""

import pytest
from pydantic import ValidationError

from versat2i.settings.sections import Interval, Section, Share


class Some(Section):
    share: Share
    ends: Interval = (0.0, 1.0)


def test_what_is_written_is_taken_as_it_stands():
    assert Some(share=0.5, ends=[0.25, 0.75]).ends == (0.25, 0.75)


@pytest.mark.parametrize(
    "values",
    [
        {"share": 1.1},
        {"share": "0.5"},
        {"share": float("nan")},
        {"share": 0.5, "other": 1},
        {"share": 0.5, "ends": [0.5, 0.5]},
        {"share": 0.5, "ends": [0.0, 0.5, 1.0]},
    ],
)
def test_what_would_have_to_be_guessed_is_refused(values):
    with pytest.raises(ValidationError):
        Some(**values)


def test_a_section_does_not_change():
    with pytest.raises(ValidationError):
        Some(share=0.5).share = 0.6
