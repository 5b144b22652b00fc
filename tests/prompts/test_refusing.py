"""Prompts with a listed word, or that a classifier calls unsafe, are left out and counted."""

from collections import Counter

import pytest
import tiny_vision
import torch
import transformers
from tiny_vision import tokenizer

from versat2i.prompts import refusing, sources
from versat2i.prompts.records import Prompt
from versat2i.settings.sources import Classified, Prompts, Refuse, Source


def prompts(*texts):
    return [Prompt(text, "some.txt", "") for text in texts]


def texts(found):
    return [prompt.text for prompt in found]


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# a comment\n\ngore\nbare skin\nmurder*\nCafé noir\n", encoding="utf-8")
    return str(path)


def cpu():
    return "cpu"


@pytest.mark.parametrize(
    "text",
    [
        "Gore on a wall",
        "bare  SKIN",
        "two murderers",
        "go\u200bre",
        "ｇｏｒｅ",
        "a cafe noir",
        "(gore)",
        "gore: a study",
    ],
)
def test_a_listed_word_is_found_however_it_is_written(listed, text):
    counts = Counter()
    assert texts(refusing.left(prompts(text, "a star"), Refuse(words=listed), cpu, counts)) == ["a star"]
    assert counts == {"refused": 1}


@pytest.mark.parametrize("text", ["Gorecki's score", "a bare skinny tree", "a café", "an oregano bush", "# a comment"])
def test_a_part_of_another_word_is_none(listed, text):
    counts = Counter()
    assert texts(refusing.left(prompts(text), Refuse(words=listed), cpu, counts)) == [text]
    assert not counts


def test_a_list_without_words_and_one_that_is_not_there_are_one_line(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n*\n")
    for name, problem in (("empty.txt", "has no word"), ("none.txt", "cannot be read")):
        with pytest.raises(ValueError, match=problem):
            refusing.words(tmp_path / name)


def test_a_source_whose_prompts_are_all_refused_is_named(listed):
    with pytest.raises(ValueError, match=r"^some\.txt: all of its 1 prompts are refused"):
        refusing.left(prompts("gore"), Refuse(words=listed), cpu)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """``reader(problem)``: a random classifier of texts with three labels."""
    root = tmp_path_factory.mktemp("readers")

    def folder(problem):
        config = transformers.BertConfig(
            **tiny_vision.TEXT,
            **tiny_vision.LOUD,
            vocab_size=tiny_vision.VOCABULARY,
            pad_token_id=tiny_vision.PAD,
            id2label={0: "fine", 1: "toxic", 2: "violent"},
            label2id={"fine": 0, "toxic": 1, "violent": 2},
            problem_type=problem,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = transformers.BertForSequenceClassification(config)
        model.save_pretrained(root / str(problem))
        tokenizer("[BOS] $A [EOS]").save_pretrained(root / str(problem))
        return str(root / str(problem))

    return folder


def chosen(model, **changes):
    return Classified(
        **{"model": model, "unsafe": ["toxic", "violent"], "most": 0.5, "dtype": "float32", "batch_size": 2} | changes
    )


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_the_probability_is_that_of_the_classifier_itself(reader, problem):
    said = ["a red circle", "two", "a good photo of a green square ?"]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(reader(problem))
    words = transformers.AutoTokenizer.from_pretrained(reader(problem))
    expected = []
    for text in said:
        with torch.no_grad():
            logits = model(**words(text, return_tensors="pt")).logits[0].double()
        expected.append(logits[1:].sigmoid().max() if problem else logits.softmax(-1)[1:].sum())
    found = list(refusing.unsafe(said, chosen(reader(problem)), cpu))
    assert found == pytest.approx([float(each) for each in expected], abs=1e-5)


def test_what_is_more_probably_unsafe_than_params_allow_is_refused(reader):
    said = ["a red circle", "two", "a good photo of a green square ?"]
    shares = list(refusing.unsafe(said, chosen(reader(None)), cpu))
    most = sorted(shares)[1]
    counts = Counter()
    found = refusing.left(prompts(*said), Refuse(classifier=chosen(reader(None), most=most)), cpu, counts)
    assert texts(found) == [text for text, share in zip(said, shares, strict=True) if share <= most]
    assert counts == {"refused": 1}


def test_a_label_that_it_has_not_is_named(reader):
    with pytest.raises(ValueError, match=r"'toxik' is none of its labels \(fine, toxic, violent\).*'toxic'"):
        list(refusing.unsafe(["x"], chosen(reader(None), unsafe=["toxik"]), cpu))


def test_a_split_says_how_many_were_refused(listed, tmp_path):
    (tmp_path / "p.txt").write_text("gore\na star\n")
    (tmp_path / "q.txt").write_text("a circle\n")
    plain = [Source(file=str(tmp_path / "q.txt"))]
    asked = Prompts(
        train=[Source(file=str(tmp_path / "p.txt"), refuse=Refuse(words=listed))],
        dev=[Source(grammar=1, held_out=0.0, seed=1)],
        eval=plain,
    )
    found = sources.collect(asked)
    assert list(found["train"][0]["text"]) == ["a star"] and found["train"][2]["refused"] == 1
    assert "refused" not in found["eval"][2]
