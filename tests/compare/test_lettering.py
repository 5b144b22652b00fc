"""Words on a sheet fit, and every character is drawn or told."""

import matplotlib
import pytest
from PIL import Image, ImageDraw

from versat2i.compare import lettering

ROOM = 100


def test_lines_fit_and_lose_nothing():
    text = "a photo of a bench and a clock on a very long and winding road to nowhere"
    found = lettering.lines(text, ROOM, 99)
    assert " ".join(found) == text and all(lettering.width(line) <= ROOM for line in found) and len(found) > 3


def test_a_word_that_is_too_long_is_broken():
    found = lettering.lines("x" * 100, ROOM, 99)
    assert "".join(found) == "x" * 100 and all(lettering.width(line) <= ROOM for line in found)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_needs_more_lines_ends_in_an_ellipsis(most):
    found = lettering.lines("one two three four five six seven eight nine ten " * 5, ROOM, most)
    assert len(found) == most and found[-1].endswith("\N{HORIZONTAL ELLIPSIS}") and lettering.width(found[-1]) <= ROOM


def test_an_empty_text_has_no_lines():
    assert lettering.lines(" ", ROOM, 3) == []


def drawn(text):
    image = Image.new("L", (120, 20), 255)
    lettering.write(ImageDraw.Draw(image), (2, 2), [text])
    return image.tobytes()


@pytest.mark.parametrize(
    "one, other", [("caf\u00e9", "cafe"), ("\u0637\u0627\u0626\u0631\u0629", "\u062d"), ("\u0416", "\u0424")]
)
def test_letters_of_other_scripts_are_no_boxes(one, other):
    """A box would look the same for both."""
    assert drawn(one) != drawn(other) and "without a font" not in str(lettering._runs(one))


@pytest.fixture
def fonts(monkeypatch):
    """``fonts(paths)``: what is installed."""

    def installed(paths):
        monkeypatch.setattr(lettering, "INSTALLED", paths)
        lettering._fonts.cache_clear()

    yield installed
    monkeypatch.undo()
    lettering._fonts.cache_clear()


def test_what_no_font_has_is_counted_in_words(fonts):
    fonts(())
    (_, first), (_, second), (_, third) = lettering._runs("a \u4e00\u53ea cat")
    assert (first, second, third) == ("a ", "[2 characters without a font]", " cat")


def test_a_font_that_is_installed_goes_on_where_ours_ends(fonts):
    fonts((f"{matplotlib.get_data_path()}/fonts/ttf/LastResortHE-Regular.ttf", "/nowhere.ttf"))
    (ours, first), (other, second) = lettering._runs("a \u4e00\u53ea")
    assert (first, second) == ("a ", "\u4e00\u53ea") and ours is not other
