"""Words on a picture, in any script that a font at hand has, within a given width."""

from functools import cache
from itertools import groupby
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import ImageDraw, ImageFont

SIZE = 11  # pixels of an em
LINE = 16  # pixels from one line to the next
INSTALLED = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf",
    "/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf",
)
"""Debian's (fonts-noto-cjk, fonts-noto-core, fonts-symbola), for what ours lacks: Chinese, Thai, emoji."""


@cache
def _fonts() -> list[tuple[frozenset[int], ImageFont.FreeTypeFont]]:
    """The characters of each font, and the font; first DejaVu, which comes with matplotlib: the same everywhere."""
    import matplotlib  # not instant

    own = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    paths = [str(own), *(path for path in INSTALLED if Path(path).is_file())]
    return [(_characters(path), ImageFont.truetype(path, SIZE)) for path in paths]


def _characters(path: str) -> frozenset[int]:
    with TTFont(path, fontNumber=0, lazy=True) as font:
        return frozenset(font.getBestCmap())


def _font_of(character: str) -> int | None:
    """The first font that has a character; None: none has."""
    return next((number for number, (known, _) in enumerate(_fonts()) if ord(character) in known), None)


def _runs(text: str) -> list[tuple[ImageFont.FreeTypeFont, str]]:
    """A text cut where another font has to go on; what no font has is told by its number, not drawn as boxes."""
    runs = []
    for number, part in groupby(text, _font_of):
        characters = "".join(part)
        if number is None:
            characters = f"[{len(characters)} characters without a font]"
        runs.append((_fonts()[number or 0][1], characters))
    return runs


def width(text: str) -> float:
    """Pixels that a text takes in a line."""
    return sum(font.getlength(part) for font, part in _runs(text))


def lines(text: str, room: int, most: int) -> list[str]:
    """A text in lines that fit, broken at blanks, or within a word that is too long (Chinese has no blanks).

    Args:
        text: of one paragraph.
        room: pixels of a line.
        most: lines; a text that needs more ends in an ellipsis.
    """
    found: list[str] = []
    rest = " ".join(text.split())
    while rest:
        if len(found) == most:
            found[-1] = _cut(f"{found[-1]} {rest}", room)
            break
        line = _fitting(rest, room)
        found.append(line)
        rest = rest[len(line) :].strip()
    return found


def _longest(text: str, room: int) -> int:
    """Count the characters of a text that fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(text[:middle]) <= room else (low, middle - 1)
    return low


def _fitting(text: str, room: int) -> str:
    """The start of a text that fills a line."""
    amount = _longest(text, room)
    blank = text.rfind(" ", 0, amount + 1)
    return text[: blank if amount < len(text) and blank > 0 else amount]


def _cut(text: str, room: int) -> str:
    end = "\N{HORIZONTAL ELLIPSIS}"
    return text[: _longest(text, room - round(width(end)))].rstrip() + end


def write(pen: ImageDraw.ImageDraw, place: tuple[float, float], told: list[str]) -> None:
    """Write lines in black, from an upper left corner down."""
    for number, line in enumerate(told):
        x = place[0]
        for font, part in _runs(line):
            pen.text((x, place[1] + number * LINE), part, "black", font)
            x += font.getlength(part)
