"""Where prompts come from is said once and whole, or refused in one line."""

import pytest
from param_text import changed, refused

from versat2i.settings import params

GRAMMAR = {"grammar": 3, "held_out": 0.0, "seed": 0}
WRITTEN = {
    "model": "a/b@c", "dtype": "bfloat16", "batch_size": 8, "tokens": 900, "template": "w.txt", "amount": 100,
    "examples": "few.txt", "shown": 3, "per_request": 20, "temperature": 1.0, "most_alike": 0.8, "patience": 20,
    "seed": 0,
}  # fmt: skip
ASKED = {name: WRITTEN[name] for name in ("model", "dtype", "batch_size", "tokens", "template")} | {"check": "c.txt"}


@pytest.mark.parametrize("source", [{}, {"grammar": 3, "file": "a.txt"}])
def test_a_source_is_the_grammar_or_a_file(source):
    assert refused(changed("prompts.train", [source])).startswith("prompts.train.0: give either 'grammar: N'")


@pytest.mark.parametrize("source", [{"written": WRITTEN}, {"written": WRITTEN, "asked": ASKED}])
def test_a_language_model_may_write_prompts_and_ask_about_them(source):
    (found,) = params.parse(changed("prompts.train", [source])).prompts.train
    assert found.model_dump(exclude_none=True, include={"written", "asked"}, exclude_defaults=True) == source


@pytest.mark.parametrize(
    "source, problem",
    [
        ({"written": WRITTEN, "file": "p.txt"}, "prompts.train.0: give either 'grammar: N', 'file: PATH' or 'written"),
        (
            {"grammar": 3, "held_out": 0.0, "seed": 0, "asked": ASKED},
            "prompts.train.0: 'asked' belongs to a 'file' without 'questions' or to",
        ),
        ({"file": "p", "questions": "q", "asked": ASKED}, "prompts.train.0: 'asked' belongs to a 'file' without"),
        ({"written": WRITTEN | {"amount": 0}}, "prompts.train.0.written.amount is 0: "),
        ({"written": WRITTEN | {"temperature": 0.0}}, "prompts.train.0.written.temperature is 0.0: "),
        ({"written": WRITTEN | {"most_alik": 1}}, "prompts.train.0.written.most_alik is not a parameter. Did you mean"),
        ({"file": "p", "asked": {"model": "m"}}, "prompts.train.0.asked.dtype is missing (and 4 more)"),
    ],
)
def test_what_a_language_model_is_told_is_checked(source, problem):
    assert refused(changed("prompts.train", [source])).startswith(problem)


@pytest.mark.parametrize("option", [{"questions": "grammar"}, {"questions": "q.json"}, {"format": "csv"}])
def test_what_belongs_to_a_file_is_refused_beside_the_grammar(option):
    line = refused(changed("prompts.train", [GRAMMAR | option]))
    assert line.startswith("prompts.train.0: 'format' and 'questions' belong to a 'file'")


def test_a_format_that_is_not_known_is_refused_with_those_that_are():
    line = refused(changed("prompts.train", [{"file": "p", "format": "xlsx"}]))
    assert line.startswith("prompts.train.0.format is 'xlsx'") and "'parquet'" in line


def test_the_grammar_says_which_prompts_it_draws():
    line = refused(changed("prompts.train", [{"grammar": 3, "seed": 1}]))
    assert line.startswith("prompts.train.0: 'grammar' needs 'held_out'")
    line = refused(changed("prompts.train", [{"file": "a.txt", "seed": 1}]))
    assert line.startswith("prompts.train.0: 'held_out' and 'seed' belong to a 'grammar'")
