"""Sources become splits that share no prompt."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import published

from versat2i import prompts as public
from versat2i.formats import tables
from versat2i.prompts import files, sources
from versat2i.prompts.records import Prompt, prompt_id
from versat2i.settings.sources import Prompts, Source

steady = settings(derandomize=True, max_examples=20, deadline=None)


def lines(folder, **splits):
    """Params that read each split from a file of these lines."""
    for split, texts in splits.items():
        (folder / f"{split}.txt").write_text("\n".join(texts))
    return Prompts(**{split: [Source(file=str(folder / f"{split}.txt"))] for split in splits})


def grammar(amount, **changes):
    return Source(**{"grammar": amount, "held_out": 0.0, "seed": 0} | changes)


def ids(result):
    return {split: list(texts["prompt_id"]) for split, (texts, _, _) in result.items()}


def test_each_prompt_is_in_the_first_of_eval_dev_and_train_that_has_it(tmp_path):
    params = lines(tmp_path, train=["a", "b", "c", "d"], dev=["a ", "b", "e"], eval=["a", "a", "f"])
    result = sources.collect(params)
    assert {split: list(texts["text"]) for split, (texts, _, _) in result.items()} == {
        "eval": ["a", "f"],
        "dev": ["b", "e"],
        "train": ["c", "d"],
    }
    assert {split: counts for split, (_, _, counts) in result.items()} == {
        "eval": {"prompts": 2, "questions": 0, "merged": 1, "shared": 0},
        "dev": {"prompts": 2, "questions": 0, "merged": 0, "shared": 1},
        "train": {"prompts": 2, "questions": 0, "merged": 0, "shared": 2},
    }


def test_what_was_done_to_the_prompts_of_a_file_is_counted_with_their_split(tmp_path):
    params = lines(tmp_path, train=["# mine", "a --w 5", "b"], dev=["c"], eval=["(d:1.5)"])
    counts = {split: numbers for split, (_, _, numbers) in sources.collect(params).items()}
    assert counts["train"] == {"prompts": 2, "questions": 0, "merged": 0, "shared": 0, "comments": 1, "stripped": 1}
    assert "stripped" not in counts["dev"] and counts["eval"]["stripped"] == 1


def test_names_of_parents_that_are_no_question_are_counted_where_there_are_any(tmp_path):
    params = lines(tmp_path, train=["a star"], dev=["b"], eval=["c"])
    columns = "item_id,text,proposition_id,dependency,question_natural_language"
    (tmp_path / "dsg.csv").write_text(f'{columns}\na_1,a star,1,0,Is it?\na_1,a star,2,"1,air",Is it red?\n')
    for source in (
        Source(file=str(tmp_path / "dsg.csv")),
        Source(file=str(tmp_path / "train.txt"), questions=str(tmp_path / "dsg.csv")),
    ):
        counts = {
            split: numbers
            for split, (_, _, numbers) in sources.collect(params.model_copy(update={"train": [source]})).items()
        }
        assert counts["train"] == {"prompts": 1, "questions": 2, "merged": 0, "shared": 0, "unknown_parents": 1}
        assert "unknown_parents" not in counts["dev"]


words = st.lists(st.sampled_from("abcdefghijkl"), max_size=8)


@steady
@given(words, words, words)
def test_splits_never_share_a_prompt_and_lose_none(train, dev, eval):
    # a line of its own for each split, so that none is empty
    given_lines = {"train": [*train, "t"], "dev": [*dev, "d!"], "eval": [*eval, "e!"]}
    with tempfile.TemporaryDirectory() as folder:
        result = sources.collect(lines(Path(folder), **given_lines))
    found = ids(result)
    together = [each for split in found.values() for each in split]
    assert len(together) == len(set(together))
    assert set(together) == {prompt_id(text) for texts in given_lines.values() for text in texts}
    for split, (_, _, counts) in result.items():
        assert counts["prompts"] + counts["merged"] + counts["shared"] == len(given_lines[split])


def test_the_same_file_for_two_splits_leaves_the_second_empty(tmp_path):
    (tmp_path / "p.txt").write_text("a\nb\n")
    source = Source(file=str(tmp_path / "p.txt"))
    with pytest.raises(ValueError, match=r"prompts\.dev: no prompt is left \(2 are in other splits\)"):
        sources.collect(Prompts(train=[grammar(1)], dev=[source], eval=[source]))


def test_the_same_file_in_several_splits_is_used_once(tmp_path):
    (tmp_path / "p.txt").write_text("a\nb\n")
    source = Source(file=str(tmp_path / "p.txt"))
    result = sources.collect(Prompts(train=[source, grammar(2)], dev=[grammar(2), source], eval=[grammar(2)]))
    assert {split: counts["shared"] for split, (_, _, counts) in result.items()} == {"eval": 0, "dev": 0, "train": 2}
    assert [len(found) for found in ids(result).values()] == [2, 4, 2]


def test_the_same_file_twice_in_a_split_is_merged(tmp_path):
    params = lines(tmp_path, train=["a"], dev=["b"], eval=["c", "d"])
    twice = params.model_copy(update={"eval": params.eval * 2})
    assert sources.collect(twice)["eval"][2] == {"prompts": 2, "questions": 0, "merged": 2, "shared": 0}


def test_splits_of_the_grammar_share_nothing_whatever_their_seeds():
    result = sources.collect(Prompts(train=[grammar(60)], dev=[grammar(60)], eval=[grammar(60)]))
    assert all(counts["shared"] == 0 for _, _, counts in result.values())
    assert len({each for split in ids(result).values() for each in split}) == 180


def test_questions_are_asked_about_the_prompts_of_a_split_and_no_others(tmp_path):
    stars, crosses = "a red star", "two blue crosses"
    asked = [Source(file=str(path), questions="grammar") for path in (tmp_path / "one.txt", tmp_path / "two.txt")]
    (tmp_path / "one.txt").write_text(f"{stars}\n")
    (tmp_path / "two.txt").write_text(f"{stars}\n{crosses}\n")
    result = sources.collect(Prompts(train=[grammar(1)], dev=[asked[1]], eval=[asked[0]]))
    assert set(result["eval"][1]["prompt_id"]) == {prompt_id(stars)}
    assert set(result["dev"][1]["prompt_id"]) == {prompt_id(crosses)}
    for _, questions, counts in result.values():
        assert counts["questions"] == len(questions) > 0


def test_a_file_is_not_asked_about_unless_one_wants_it(tmp_path):
    params = lines(tmp_path, train=["a red star"], dev=["a blue star"], eval=["a pink star"])
    assert all(questions.empty for _, questions, _ in sources.collect(params).values())


def test_a_prompt_that_the_grammar_cannot_ask_about_is_named(tmp_path):
    (tmp_path / "p.txt").write_text("a red dog\n")
    source = Source(file=str(tmp_path / "p.txt"), questions="grammar")
    with pytest.raises(ValueError, match="'dog' is not a word"):
        list(sources.prompts_of(source, "eval"))


def asked_by(folder, *questions):
    """A file of questions, each ``(prompt, question)``."""
    rows = [json.dumps({"text": text, "question": asked, "answer": "yes"}) for text, asked in questions]
    (folder / "questions.jsonl").write_text("\n".join(rows))
    return str(folder / "questions.jsonl")


def test_another_file_may_have_the_questions_about_a_file(tmp_path):
    (tmp_path / "p.txt").write_text("a star\na cross\na ring\n")
    questions = asked_by(tmp_path, ("a  cross", "Is it?"), ("a star", "Is there?"), ("a star", "Are you sure?"))
    found = list(sources.prompts_of(Source(file=str(tmp_path / "p.txt"), questions=questions), "eval"))
    assert [prompt.text for prompt in found] == ["a star", "a cross", "a ring"]
    assert {prompt.source for prompt in found} == {"p.txt"}
    asked = [[question["question"] for question in prompt.questions] for prompt in found]
    assert asked == [["Is there?", "Are you sure?"], ["Is it?"], []]


def test_tifa_has_its_questions_in_another_file():
    prompts, questions = (published(f"tifa_sample_{name}.json") for name in ("text_inputs", "question_answers"))
    found = list(sources.prompts_of(Source(file=str(prompts), questions=str(questions)), "eval"))
    assert found[0] == Prompt(found[0].text, prompts.name, "coco", files.read(questions)[0].questions)
    assert [len(prompt.questions) for prompt in found] == [11, 8]


def test_a_file_of_questions_about_other_prompts_is_refused(tmp_path):
    (tmp_path / "p.txt").write_text("a star\n")
    source = Source(file=str(tmp_path / "p.txt"), questions=asked_by(tmp_path, ("a ring", "Is it?")))
    with pytest.raises(ValueError, match=r"questions\.jsonl: asks about none of the 1 prompts of p\.txt"):
        list(sources.prompts_of(source, "eval"))


def test_a_file_of_questions_without_any_is_refused(tmp_path):
    (tmp_path / "p.txt").write_text("a star\n")
    source = Source(file=str(tmp_path / "p.txt"), questions=str(tmp_path / "p.txt"))
    with pytest.raises(ValueError, match=r"p\.txt: has no questions"):
        list(sources.prompts_of(source, "eval"))


def test_the_format_of_a_file_may_be_named(tmp_path):
    (tmp_path / "prompts").write_text("a star\n")
    source = Source(file=str(tmp_path / "prompts"), format="txt")
    assert [prompt.text for prompt in sources.prompts_of(source, "eval")] == ["a star"]


def test_the_splits_are_tables_of_the_pipeline_and_the_same_each_time(tmp_path):
    params = Prompts(train=[grammar(3)], dev=[grammar(3, held_out=0.5)], eval=[grammar(3, held_out=1.0)])
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        for split, (texts, questions, _) in sources.collect(params).items():
            tables.write("prompts", texts, folder / f"{split}.parquet")
            tables.write("questions", questions, folder / f"{split}.questions.parquet")
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert set(tables.texts(tmp_path / "one/train.parquet")) == set(
        tables.read("questions", tmp_path / "one/train.questions.parquet")["prompt_id"]
    )


def test_reading_a_file_gives_the_two_tables(tmp_path):
    pd.DataFrame({"prompt": ["a star", "a  star", "b"]}).to_csv(tmp_path / "p.csv")
    texts, questions = public.read(str(tmp_path / "p.csv"))
    assert list(texts.columns) == tables.SCHEMAS["prompts"].names
    assert list(texts["text"]) == ["a star", "b"]
    assert list(questions.columns) == tables.SCHEMAS["questions"].names and questions.empty
