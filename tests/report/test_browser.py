"""The browser's data: every image of every variant with its scores and answers."""

import json

import pandas as pd
import pytest

from versat2i.formats.measures import Measure
from versat2i.report import browser

PROMPTS = pd.DataFrame(
    [("p1", "a red circle", "single", "seen"), ("p0", "two stars", "counting", "held_out")],
    columns=["prompt_id", "text", "category", "source"],
)
KEYS = [("p0", 0), ("p1", 1), ("p1", 0)]
MEASURES = [
    Measure(metric="tifa", evaluator="tifa", licence="free", aspect="faithfulness"),
    Measure(metric="piqe", evaluator="piqe", licence="free", higher_is_better=False),
]
UNITS = {"tifa": 0.5, "piqe": 0.0}


def answer(number, said, expected="yes"):
    row = {"question_id": number, "question": f"question {number}?", "element_type": "object", "expected": expected}
    return row | {"answer": said, "correct": said == expected}


def frame(scores, details=None, reasons=None, lower=False):
    table = pd.DataFrame(KEYS, columns=["prompt_id", "k"]).assign(score=scores)
    merits = -table["score"] if lower else table["score"]
    return table.assign(merit=merits, abstained=reasons or [None] * 3, details=details or [None] * 3)


def asked(*answers):
    return json.dumps({"answers": list(answers)})


def scores():
    right, wrong = asked(answer("a", "yes"), answer("b", "yes")), asked(answer("a", None), answer("b", "no"))
    base = {"tifa": frame([0.123456789, 1.0, 0.0], [right, right, wrong]), "piqe": frame([1.0, 2.0, 3.0], lower=True)}
    blank = frame([1.0, float("nan"), 1.0], [right, None, right], [None, "the image is blank", None])
    return {"base": base, "mixture": {"tifa": blank, "piqe": frame([1.0, 2.0, 4.0], lower=True)}}


def described(**changes):
    return browser.describe(**{"scores": scores(), "prompts": PROMPTS, "measures": MEASURES, "units": UNITS} | changes)


@pytest.fixture
def shown():
    return described(headline="mixture")


def test_items_are_in_the_order_of_the_prompts_then_of_k(shown):
    assert shown.items == {("p1", 0): 0, ("p1", 1): 1, ("p0", 0): 2}
    assert [(prompt, k) for prompt, k, *_ in shown.content["items"]] == [(0, 0), (0, 1), (1, 0)]


def test_a_score_is_a_number_or_the_reason_why_there_is_none(shown):
    values = [item[2] for item in shown.content["items"]]
    assert values == [[[0.0, 3.0], [1.0, 4.0]], [[1.0, 2.0], ["the image is blank", 2.0]], [[0.12346, 1.0], [1.0, 1.0]]]


def test_answers_are_marked_right_or_said(shown):
    assert [item[3] for item in shown.content["items"]] == [
        [[None, "no"], [0, 0]],
        [[0, 0], None],
        [[0, 0], [0, 0]],
    ]
    assert shown.content["prompts"][0] == [
        "p1",
        "a red circle",
        "single",
        "seen",
        [["question a?", "yes"], ["question b?", "yes"]],
    ]


def test_metrics_say_their_unit_whether_they_select_and_where_lower_is_better(shown):
    assert shown.content["metrics"] == [
        {"name": "tifa", "unit": 0.5, "selects": True},
        {"name": "piqe", "unit": 0.0, "selects": False, "lower": True},
    ]


def test_without_questions_nothing_was_asked():
    plain = {variant: {"tifa": frame([1.0, 1.0, 1.0]), "piqe": frames["piqe"]} for variant, frames in scores().items()}
    shown = described(headline="mixture", scores=plain)
    assert all(item[3] == [None, None] for item in shown.content["items"])
    assert all(prompt[4] == [] for prompt in shown.content["prompts"])


def test_a_prompt_that_is_not_in_the_table_is_named():
    with pytest.raises(ValueError, match="prompt p0 is not in the prompt table"):
        described(headline="mixture", prompts=PROMPTS.head(1))


def test_an_image_without_a_score_is_named():
    fewer = scores()
    fewer["mixture"]["piqe"] = fewer["mixture"]["piqe"].head(2)
    with pytest.raises(ValueError, match="evaluate@mixture: image 0 of prompt p1 has no score"):
        described(headline="mixture", scores=fewer)


def test_the_script_is_plain_ascii_whatever_the_texts_are(tmp_path):
    text = "</script>\u2028\U0001f534 é"
    shown = described(headline="mixture", prompts=PROMPTS.assign(text=text))
    browser.write_script(shown, tmp_path)
    script = (tmp_path / browser.SCRIPT).read_bytes()
    assert script.isascii()
    content = json.loads(script.removeprefix(b"globalThis.versat2iReport=").removesuffix(b";\n"))
    assert content["prompts"][0][1] == text.encode("utf-16", "surrogatepass").decode("utf-16")


ANSWER = answer("a", "yes")


@pytest.mark.parametrize(
    "details",
    ["", "{", "[]", "3", "null", "NaN", "[" * 5000, '{"answers": 1}', '{"answers": [1]}', '{"answers": null}']
    + [asked({k: v for k, v in ANSWER.items() if k != name}) for name in ANSWER if name != "element_type"]
    + [asked(ANSWER | {name: []}) for name in ANSWER if name != "element_type"]
    + [asked(ANSWER | {"correct": "yes"}), asked(ANSWER | {"answer": 1})],
)
def test_details_that_are_no_answers_are_one_line_that_names_the_image(details):
    spoilt = scores()
    spoilt["mixture"]["tifa"].loc[2, "details"] = details
    with pytest.raises(ValueError) as error:
        described(scores=spoilt, headline="mixture")
    line = str(error.value)
    assert line.startswith("evaluate@mixture: scores.parquet: details of tifa of image 0 of prompt p1: ")
    assert "\n" not in line and line.endswith("Run `dvc repro evaluate@mixture`")


def test_details_of_another_kind_are_no_answers():
    other = scores()
    for table in other["mixture"].values():
        table["details"] = '{"pixels": 3}'
    assert described(scores=other, headline="mixture").content["items"][0][3][1] is None


def many(amount, worst):
    """Two variants of so many prompts with two images each; the headline's gain grows with the image's number."""
    ids = [f"p{number:03d}" for number in range(amount)]
    keys = pd.DataFrame([(prompt_id, k) for prompt_id in ids for k in (0, 1)], columns=["prompt_id", "k"])
    number = pd.Series(range(2 * amount), dtype=float)
    reasons = [None] * (2 * amount - 1) + ["the image is blank"]
    table = keys.assign(abstained=None, details=asked(answer("a", "yes")))
    base = table.assign(score=0.0, merit=0.0)
    gain = number.where(number != 7, worst)
    mixture = table.assign(score=gain, merit=gain, abstained=reasons)
    prompts = pd.DataFrame({"prompt_id": ids, "text": "a star", "category": "single", "source": "seen"})
    frames = {"base": {"tifa": base, "piqe": base}, "mixture": {"tifa": mixture, "piqe": base}}
    return {"scores": frames, "prompts": prompts, "headline": "mixture"}


def test_of_too_many_images_best_worst_and_a_fair_sample_are_shown(monkeypatch):
    monkeypatch.setattr(browser, "MOST_PICTURES", 18)
    shown = described(**many(50, worst=-5.0))
    numbers = [2 * int(prompt_id[1:]) + k for prompt_id, k in shown.items]
    assert shown.images == 100 and len(numbers) == 9 == len(shown.content["items"])
    assert numbers[:3] == [0, 1, 2] and {7, 0, 1} <= set(numbers), "the three smallest gains: 7 has -5"
    assert {96, 97, 98} <= set(numbers), "the three largest: 99 has none"
    assert numbers == [0, 1, 2, 7, 49, 96, 97, 98, 99], "first, middle and last of those left are the fair sample"
    places = [item[0] for item in shown.content["items"]]
    assert [shown.content["prompts"][place][0] for place in places] == [prompt_id for prompt_id, _ in shown.items]
    assert len(shown.content["prompts"]) == 6, "prompts of no item that is shown are left out"


def test_what_a_browser_can_show_is_shown_whole(monkeypatch):
    monkeypatch.setattr(browser, "MOST_PICTURES", 200)
    shown = described(**many(50, worst=-5.0))
    assert shown.images == len(shown.items) == 100 and len(shown.content["prompts"]) == 50


def test_without_gains_a_fair_sample_is_shown(monkeypatch):
    monkeypatch.setattr(browser, "MOST_PICTURES", 8)
    given = many(5, worst=0.0)
    given["scores"] = {"base": given["scores"]["base"]} | {"mixture": given["scores"]["base"]}
    shown = described(**given, units={"tifa": 0.0, "piqe": 0.0})
    assert list(shown.items) == [("p000", 0), ("p001", 1), ("p003", 0), ("p004", 1)]
