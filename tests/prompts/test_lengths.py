"""What a text encoder does not read of a prompt is known before it is drawn."""

import json
import warnings

import pandas as pd
import pytest
import tiny_families

from versat2i.models.diffusion import sd3
from versat2i.prompts import lengths
from versat2i.settings.params import Model
from versat2i.work import fingerprint

CLAUSE = "a red circle above a blue square"


class Words:
    """A tokenizer that takes words for tokens, with a mark at start and end, as CLIP has."""

    def __call__(self, text, verbose):
        assert verbose is False
        return {"input_ids": [0, *range(1, len(text.split()) + 1), 0]}


def reader(limit):
    return lengths.Reader(Words(), limit)


def test_a_prompt_that_just_fits_is_read_whole_and_one_word_more_is_lost():
    texts = {"a": "one two three", "b": "one two three four", "c": ""}
    (one,) = lengths.cut(texts, [reader(5)]).values()
    assert one == lengths.Cut("one two three four", "one two three", 6, 5) and one.lost == "four"


def test_of_several_encoders_the_one_that_reads_most_counts():
    texts = {"a": "one two three four five"}
    assert lengths.cut(texts, [reader(4), reader(7)]) == {}
    assert lengths.cut(texts, [reader(4), reader(6)])["a"].lost == "five"
    assert lengths.cut(texts, []) == {}


def test_an_encoder_too_short_for_any_word_reads_nothing():
    assert lengths.cut({"a": "one two"}, [reader(2)])["a"].read == ""


def question(prompt_id, text, answer="yes"):
    return {"prompt_id": prompt_id, "question_id": "0", "question": text, "answer": answer}


def test_questions_about_what_was_cut_are_told_apart():
    cuts = lengths.cut({"a": "a red kite on a navy background", "b": "a kite"}, [reader(5)])
    assert cuts["a"].read == "a red kite"
    questions = pd.DataFrame(
        [
            question("a", "Is there a kite?"),
            question("a", "What color is the background?", "navy"),
            question("a", "Which color is it?", "navy"),
            question("b", "Is there a navy background?"),
        ],
        index=[3, 4, 5, 6],
    )
    asked = lengths.about_what_was_cut(questions, cuts)
    assert asked.to_dict() == {3: False, 4: True, 5: True, 6: False}
    assert lengths.counts(questions, cuts) == {"cut": 1, "questions_cut": 2}
    assert lengths.counts(questions.iloc[:0], {}) == {"cut": 0, "questions_cut": 0}


def test_a_warning_names_the_first_three():
    assert lengths.warning({}) is None
    cuts = lengths.cut({str(number): f"kite {number} in the sky" for number in range(5)}, [reader(4)])
    line = lengths.warning(cuts)
    assert line.startswith("5 prompts are longer than the text encoder reads") and "\n" not in line
    assert (
        "'kite 2 in the sky' (7 tokens, 4 are read: without 'in the sky'); and 2 more" in line and "kite 3" not in line
    )


@pytest.mark.parametrize("family, amount", [("sd15", 1), ("sdxl", 2), ("sd35", 3)])
def test_a_models_own_tokenizers_say_what_is_read_without_a_warning(tmp_path, family, amount, caplog):
    folder = tiny_families.folder(family, tmp_path / "model")
    found = lengths.readers(Model(path=str(folder), dtype="float32", threads=1))
    assert len(found) == amount
    longest = max(one.limit for one in found)
    long = " and ".join([CLAUSE] * longest)
    with warnings.catch_warnings(action="error"):
        cuts = lengths.cut({"short": CLAUSE, "long": long}, found)
    assert list(cuts) == ["long"] and cuts["long"].limit == longest and long.startswith(cuts["long"].read)
    assert not caplog.records


def test_the_embedded_model_reads_as_many_tokens_as_its_text_encoder_has_places():
    folder = fingerprint.ROOT / "versat2i/shapes/model"
    (found,) = lengths.readers(Model(path=str(folder), dtype="float32", threads=1))
    assert found.limit == json.loads((folder / "text_encoder/config.json").read_text())["max_position_embeddings"]
    long = " and ".join([CLAUSE] * 8) + " on a navy background"
    one = lengths.cut({"long": long}, [found])["long"]
    assert one.tokens > found.limit and one.lost.endswith("on a navy background")
    assert found.tokens(one.read) <= found.limit < found.tokens(f"{one.read} {one.lost.split()[0]}")


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"model_index\.json: there is no such file"):
        lengths.readers(Model(path=str(tmp_path), dtype="float32", threads=1))


def test_the_limit_of_t5_is_that_of_the_pipeline():
    assert lengths.T5_TOKENS == sd3.T5_TOKENS
