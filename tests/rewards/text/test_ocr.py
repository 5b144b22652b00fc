"""Words that are drawn as the prompt quotes them score 1; wrong, missing, blurred and additional ones cost."""

import socket
import sys
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scored import NO_QUESTIONS

from versat2i import rewards
from versat2i.rewards.common import scoring
from versat2i.rewards.text import ocr
from versat2i.settings import params

LACKING = [name for name in ("rapidocr", "onnxruntime") if find_spec(name) is None]
reads = pytest.mark.skipif(bool(LACKING), reason="no OCR: pip install 'versat2i[text]'")
PROMPT = rewards.Prompt("p", 'a shop that says "Open today" and “Bread 42”')
FONTS = ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Oblique.ttf", "STIXGeneral.ttf", "cmr10.ttf")
SIDE = 128  # pixels: the letters here are large


def drawn(*lines, font=FONTS[0], size=36):
    """Lines of text below each other, ``uint8 [height, 256, 3]``."""
    import matplotlib

    image = Image.new("RGB", (256, 64 * len(lines)), "ivory")
    letters = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / font), size)
    for place, line in enumerate(lines):
        ImageDraw.Draw(image).text((16, 64 * place + 8), line, font=letters, fill="darkred")
    return np.asarray(image)


@pytest.fixture(scope="module")
def reward():
    return rewards.load("text", "ocr", side=SIDE)


def score(reward, image, prompt=PROMPT):
    (found,) = rewards.judged(reward, image[None], [prompt])
    return found


def test_likeness_worked_out_by_hand():
    assert ocr.likeness(["Open"], ["open"]) == 1.0
    assert ocr.likeness(["Open"], ["opem"]) == 0.75
    assert ocr.likeness(["Open"], []) == 0.0
    assert ocr.likeness(["Open"], ["Open", "abcd"]) == 0.5  # four letters to delete of eight
    assert ocr.likeness(["Open"], ["Open", "abcd"], extra=False) == 1.0
    assert ocr.likeness(["Open 24", "hours"], ["OPEN24HOURS"]) == 1.0
    assert ocr.likeness(["It’s"], ["it's"]) == 1.0
    assert ocr.likeness(["ﬁne Ａ"], ["fine A"]) == 1.0  # NFKC: a ligature, a wide letter


def test_lines_may_come_in_any_order():
    lines = ["we", "bake", "bread"]
    assert {ocr.likeness(["We bake", "bread"], order) for order in permutations(lines)} == {1.0}


@pytest.mark.parametrize("extra", [True, False])
def test_many_lines_are_put_in_order_by_where_they_fit(extra):
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"]
    shuffled = [words[place] for place in (5, 2, 7, 0, 3, 6, 1, 4)]
    assert ocr.likeness([" ".join(words)], shuffled, extra) == 1.0
    assert ocr.likeness([" ".join(words)], [*shuffled, "zulu"], False) == 1.0
    assert ocr.likeness([" ".join(words)], [*shuffled, "zulu"]) == pytest.approx(1 - 4 / 46)


def test_without_quoted_text_it_abstains_and_loads_nothing(reward):
    assert score(rewards.load("text", "ocr"), drawn("x"), rewards.Prompt("p", "a red circle")) == ocr.NO_TEXT


@reads
@pytest.mark.parametrize("font", FONTS)
def test_words_in_any_font_are_read(reward, font):
    found = score(reward, drawn("Open today", "Bread 42", font=font))
    assert found == 1.0
    assert found.details["wanted"] == ["Open today", "Bread 42"]
    assert sorted(found.details["read"]) == ["Bread 42", "Open today"]


@reads
def test_each_wrong_letter_costs(reward):
    texts = ["Open today", "Open tobay", "Opem tobay", "Opem fobay", "Kpem fobay", "Kpem fobat"]
    scores = [float(score(reward, drawn(text, "Bread 42"))) for text in texts]
    assert scores[0] == 1.0 and (np.diff(scores) < 0).all()


@reads
def test_each_missing_word_costs(reward):
    scores = [float(score(reward, drawn(*lines))) for lines in (("Open today", "Bread 42"), ("Open today",), ("Open",))]
    assert scores == pytest.approx([1.0, 9 / 16, 4 / 16])


@reads
@pytest.mark.parametrize("flaw", ["blur", "noise", "fade", "covered"])
def test_the_score_never_rises_with_the_degradation_and_ends_at_nothing(reward, flaw):
    clean = drawn("Open today", "Bread 42").astype(float)
    noise = np.random.default_rng(0).normal(size=clean.shape)

    def degraded(amount):
        if flaw == "blur":
            return cv2.GaussianBlur(clean, (0, 0), 0.1 + 8 * amount)
        if flaw == "noise":
            return clean + 400 * amount * noise
        if flaw == "fade":
            return clean.mean() + (1 - amount) * (clean - clean.mean()) + 0.2 * noise
        covered = clean.copy()
        covered[:, 256 - round(240 * amount) :] = 255
        covered[0, 0] = 0  # or it were blank at last
        return covered

    images = [np.clip(degraded(amount), 0, 255).astype(np.uint8) for amount in (0.0, 0.25, 0.5, 0.75, 1.0)]
    scores = [float(score(reward, image)) for image in images]
    assert scores[0] == 1.0 and (np.diff(scores) <= 0).all() and scores[-1] == 0.0


@reads
def test_words_that_nobody_asked_for_cost_unless_params_say_otherwise(reward):
    image = drawn("Open today", "Bread 42", "Closed")
    assert score(reward, image) == pytest.approx(16 / 22)
    assert score(rewards.load("text", "ocr", side=SIDE, extra=False), image) == 1.0


@reads
def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it reaches for the network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    fresh = rewards.load("text", "ocr", side=SIDE)
    assert score(fresh, drawn("Open today", "Bread 42")) == 1.0
    (weights,) = fresh.weights
    assert not weights.remote and weights.fetch() is None


@reads
def test_the_fingerprint_of_scores_has_the_weights_of_the_package():
    recipe = scoring.Recipe("text", params.Reward(evaluator="ocr"), {}, NO_QUESTIONS)
    (identity,) = scoring.Worker(recipe).weights
    assert identity.startswith("rapidocr ") and "onnxruntime " in identity
    assert len(identity.split()) >= 6  # two packages with their versions, and weights that find and read text


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(ValueError, match=r"^ocr: (rapidocr|onnxruntime) is not installed.*versat2i\[text\]"):
        score(rewards.load("text", "ocr"), drawn("Open"))
