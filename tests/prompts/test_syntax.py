"""Another tool's syntax is taken off a prompt, ordinary language is kept."""

import pytest

from versat2i.prompts import syntax


@pytest.mark.parametrize(
    "written, plain",
    [
        ("(masterpiece:1.3), best quality, (a cat, [dark])", "masterpiece, best quality, a cat, dark"),
        ("(a cat:1.1) on ((a mat))", "a cat on a mat"),
        ("a red kite, <lora:more_detail:0.8>, clouds", "a red kite, clouds"),
        (r"a doll \(toy\), (red:2)", "a doll (toy), red"),
        ("(a (b:1.2) c:1.1) BREAK d", "a b c d"),
        ("a kite --ar 16:9 --v 5 --no clouds", "a kite"),
        ('--prompt "a kite" --negative_prompt "clouds" --steps 3', "a kite"),
    ],
)
def test_the_syntax_of_other_tools_is_taken_off(written, plain):
    assert syntax.plain(written) == plain


@pytest.mark.parametrize(
    "text",
    [
        "a sign that says --help",
        "two boards -- one red -- on a wall",
        "the score is (4:3) at (10:30)",
        "a (small) cat [sic]",
        "time to BREAK free",
        "a < b > c",
        "sneakers --n",
        r"a path C:\dogs",
        "f(x) = 2",
    ],
)
def test_ordinary_language_is_kept_to_the_letter(text):
    assert syntax.plain(text) == text


def test_what_is_nothing_but_syntax_is_empty():
    assert syntax.plain("<lora:x:1>") == "" and syntax.plain("") == ""


@pytest.mark.parametrize(
    "text, comment", [("# mine", True), ("  #  mine", True), ("#1", False), ("#", False), ("a # b", False)]
)
def test_a_comment_is_a_number_sign_a_blank_and_words(text, comment):
    assert bool(syntax.COMMENT.match(text)) == comment
