"""What a prompt puts in quotation marks of any kind is what it asks to see written."""

import pytest

from versat2i.rewards.text.quoted import quoted


@pytest.mark.parametrize(
    "prompt",
    [
        'a sign that says "Open today"',
        "a sign that says “Open today”",
        "ein Schild mit „Open today“",
        "en skylt med ”Open today”",
        "un panneau « Open today »",
        "et skilt med »Open today«",
        "un cartel ‹Open today›",
        "a sign that says 'Open today'",
        "a sign that says ‘Open today’.",
        "写着「Open today」的牌子",
        "写着『Open today』的牌子",
        "写着“Open today”的牌子",
        "写着＂Open today＂的牌子",
        "写着\"Open today\"的牌子",
        "a sign with ``Open today''",
        'a 24" screen that shows "Open today"',
        "the dog's and the cats' sign ('Open today')",
    ],
)  # fmt: skip
def test_a_text_is_found_in_every_kind_of_marks(prompt):
    assert quoted(prompt) == ["Open today"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle",
        "the dog's bowl and the cats' toys",
        "rock 'n' roll in the '90s, the Beatles' style",
        "don’t stop, ’tis the season",
        'a 5" pipe beside a 6" pipe',
        'three marks "!?" on a wall, and an empty sign ""',
        'a sign that says "Open',
    ],
)
def test_apostrophes_inches_and_marks_alone_ask_for_nothing(prompt):
    assert quoted(prompt) == []


def test_several_texts_keep_their_order_and_apostrophes_within_them():
    prompt = "“Don't panic” over 'It's 5 o'clock', and \"The dogs' bowl\""
    assert quoted(prompt) == ["Don't panic", "It's 5 o'clock", "The dogs' bowl"]


def test_marks_of_another_kind_belong_to_the_text():
    assert quoted("a poster: «Say \"cheese\" now»") == ['Say "cheese" now']  # fmt: skip
