"""A language model follows a seed, replies to many as to one, and is asked nothing twice."""

import json

import pytest
import tiny_text
import tiny_vision
import torch
import transformers

from versat2i.models.pretrained import language_model
from versat2i.models.pretrained.language_model import Kept, LanguageModel
from versat2i.settings.sources import LanguageModel as Chosen

REQUESTS = ["a red circle", "Rate the quality of the image .", "two"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_text.instruct(tmp_path_factory.mktemp("instruct"))


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel(folder, "float32")


def ask(model, requests=REQUESTS, **changes):
    return model.replies(requests, **{"tokens": 12, "temperature": 0.0, "seed": 0, **changes})


def greedy(folder, request, tokens):
    """The most probable words, token by token and without padding."""
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(f"[BOS] USER : {request} ASSISTANT :", add_special_tokens=False, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(tokens):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
        if ids[0, -1] == tiny_vision.EOS:
            break
    return tokenizer.decode(ids[0, start:], skip_special_tokens=True)


@pytest.fixture
def whole(monkeypatch):
    """Replies with all that was said, also where they were cut off."""
    monkeypatch.setattr(LanguageModel, "_text", lambda self, row: self._tokenizer.decode(row, skip_special_tokens=True))


def test_without_temperature_the_most_probable_words_are_said(folder, model, whole):
    expected = [greedy(folder, request, 12) for request in REQUESTS]
    assert ask(model) == expected
    assert len(set(expected)) > 1


def test_draws_follow_the_seed_and_leave_torchs_own_alone(model, whole):
    before = torch.random.get_rng_state()
    drawn = [ask(model, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    "said, ended, expected",
    [
        ("1. a\n2. b", True, "1. a\n2. b"),
        ("1. a\n2. b", False, "1. a"),  # b may go on
        ("1. a", False, ""),
    ],
)
def test_a_line_in_which_a_reply_is_cut_off_is_left_out(model, monkeypatch, said, ended, expected):
    monkeypatch.setattr(model._tokenizer, "decode", lambda *args, **options: said)
    tokens = [5, tiny_vision.EOS] if ended else [5, 6]
    assert model._text(tokens) == expected


def test_a_model_that_takes_no_instructions_is_one_clear_line(tmp_path):
    plain = LanguageModel(tiny_text.instruct(tmp_path, template=None), "float32")
    with pytest.raises(ValueError, match=r"its tokenizer has no chat template, .* often called Instruct or Chat"):
        ask(plain)


def test_the_same_weights_in_other_numbers_are_another_identity(folder, model):
    assert LanguageModel(folder, "bfloat16").identity != model.identity


class Counting:
    """Replies with how many requests it had."""

    identity = "counting"

    def __init__(self):
        self.requests = 0

    def replies(self, requests, **how):
        self.requests += len(requests)
        return [f"{request} {self.requests}" for request in requests]


def test_nothing_is_asked_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    counting = Counting()
    first = ask(Kept(counting))
    assert ask(Kept(counting)) == first and counting.requests == 3
    for change in ({"seed": 1}, {"temperature": 1.0}, {"tokens": 9}, {"requests": ["two"]}):
        assert ask(Kept(counting), **change) != first
    other = Counting()
    other.identity = "another"
    ask(Kept(other))
    assert counting.requests == 13 and other.requests == 3


def test_params_name_a_model(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    chosen = Chosen(model=folder, dtype="float32", batch_size=2, tokens=8, template="t")
    kept = language_model.from_params(chosen, "cpu")
    assert ask(kept, tokens=3) == ask(LanguageModel(folder, "float32"), tokens=3)
    (piece,) = (tmp_path / "replies").iterdir()
    assert json.loads((piece / "replies.json").read_text()) == ask(kept, tokens=3)
