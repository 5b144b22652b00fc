"""Find the words that a prompt asks to see: what stands in quotation marks, of whatever kind."""

import re

PAIRS = (
    ("“", "”“"),  # English; Polish and others close with the same mark
    ("„", "“”"),  # German and Polish
    ("”", "”"),  # Swedish and Finnish
    ("«", "»"),  # French
    ("»", "«"),  # Danish, and German books
    ("‹", "›"),
    ("›", "‹"),
    ("「", "」"),  # Chinese and Japanese
    ("『", "』"),
    ("〝", "〞〟"),
    ("＂", "＂"),
    ("``", "'"),  # TeX
)
_PLAIN = r'(?<!\d)"([^"]+)"'  # behind a digit the mark stands for inches
# an apostrophe is no mark: not within a word, nor at the head of what is always written with one
_SHORT = r"(?!(?:\d\ds?|n|tis|twas|em|til|cause)\b)"
_SINGLE = rf"(?<![\w'’])['‘‚]{_SHORT}(?=\S)((?:[^'’‘]|(?<=\w)['’](?=\w))+)(?<=\S)['’‘](?!\w)"


def _pattern() -> re.Pattern[str]:
    pairs = [f"{re.escape(first)}([^{re.escape(first + last)}]+)[{re.escape(last)}]+" for first, last in PAIRS]
    return re.compile("|".join([*pairs, _PLAIN, _SINGLE]))


_QUOTED = _pattern()


def quoted(prompt: str) -> list[str]:
    """The texts in quotation marks, in their order; one without a letter or a digit asks for nothing to read."""
    found = (next(part for part in match.groups() if part) for match in _QUOTED.finditer(prompt))
    return [text.strip() for text in found if any(character.isalnum() for character in text)]
