"""What the image browser shows and in which order, by running its script."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versat2i.work.fingerprint import ROOT

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no node on this machine to run the page's script")

SCRIPT = ROOT / "versat2i/report/order.js"
ANY = {"order": "given", "variant": 1, "metric": "all", "category": "", "source": "", "words": ""}
REASON = "the image is blank"
DATA = {
    "variants": ["base", "mixture"],
    "metrics": [
        {"name": "aesthetic", "unit": 0.5, "selects": True},
        {"name": "tifa", "unit": 0.25, "selects": True},
        {"name": "flat", "unit": 0, "selects": True},
        {"name": "judge", "unit": 1, "selects": False},
        {"name": "niqe", "unit": 2, "selects": False, "lower": True},
    ],
    "prompts": [
        ["p0", "a Red circle", "single", "seen", []],
        ["p1", "two blue stars", "counting", "held_out", []],
        ["p2", "a red star", "single", "held_out", []],
    ],
    "items": [
        [0, 0, [[1.0, 0.5, 0, 5, 8], [2.0, 0.5, 9, 1, 3]], [None, None]],
        [1, 0, [[1.0, 0.5, 0, 5, 8], [0.5, 1.0, 9, 6, 9]], [None, None]],
        [2, 0, [[REASON, 0.5, 0, 5, 8], [0.5, 0.25, 9, 5, 8]], [None, None]],
        [2, 1, [[REASON, REASON, 0, 5, 8], [1.0, 1.0, 9, 4, 6]], [None, None]],
    ],
}


def call(name, *arguments, data=DATA):
    """What ``order.<name>(data, ...)`` returns."""
    program = (
        f"const order = require({json.dumps(str(SCRIPT))});"
        "const [name, ...rest] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(order[name](...rest)));"
    )
    given_in = json.dumps([name, data, *arguments])
    done = subprocess.run([str(NODE), "-e", program], input=given_in, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def listed(**choice):
    return call("list", ANY | choice)


def test_a_gain_is_the_difference_from_base_on_the_same_image():
    assert call("gain", DATA["items"][0], 1, 0) == 1.0
    assert call("gain", DATA["items"][0], 1, 3) == -4


def test_where_lower_is_better_a_lower_score_is_a_gain_and_comes_first():
    """NIQE goes from 8 to 3, 9, 8, 6: gains of 5, -1, 0, 2."""
    assert [call("gain", item, 1, 4) for item in DATA["items"]] == [5, -1, 0, 2]
    assert listed(order="best", metric=4) == [0, 3, 2, 1]


def test_where_lower_is_better_the_gain_in_all_aspects_together_points_up():
    selecting = [metric | {"selects": metric["name"] == "niqe"} for metric in DATA["metrics"]]
    data = DATA | {"metrics": selecting}
    assert [call("together", item, 1, data=data) for item in DATA["items"]] == [2.5, -0.5, 0, 1]


def test_an_image_without_a_score_has_no_gain():
    assert call("gain", DATA["items"][2], 1, 0) is None


def test_all_together_is_the_mean_over_aspects_in_units_of_base_and_no_judge_counts():
    assert [call("together", item, 1) for item in DATA["items"]] == [1.0, 0.5, -1.0, None]


def test_best_and_worst_are_opposite_ends_and_images_without_a_gain_come_last_in_both():
    assert listed(order="best") == [0, 1, 2, 3]
    assert listed(order="worst") == [2, 1, 0, 3]
    assert listed(order="worst", metric=3) == [0, 3, 2, 1]


def test_as_given_is_the_order_of_the_prompts():
    assert listed() == [0, 1, 2, 3]


def test_filters_work_together():
    assert listed(category="single") == [0, 2, 3]
    assert listed(source="held_out", category="single") == [2, 3]
    assert listed(words=" RED ") == [0, 2, 3]
    assert listed(words="red", source="seen", order="worst") == [0]
    assert listed(words="zebra") == []


def test_base_alone_is_shown_as_given():
    assert listed(order="best", variant=-1) == [0, 1, 2, 3]


def test_the_script_is_the_one_that_the_page_has(run):
    assert Path(SCRIPT).read_text() in run.html


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=8), st.sampled_from(["best", "worst"]))
def test_sorting_loses_nothing_and_keeps_the_order_of_equals(gains, which):
    items = [[0, k, [[0], [REASON if gain is None else gain]], [None, None]] for k, gain in enumerate(gains)]
    data = DATA | {"items": items, "metrics": DATA["metrics"][:1]}
    sign = -1 if which == "best" else 1
    expected = sorted(range(len(gains)), key=lambda n: (gains[n] is None, sign * (gains[n] or 0), n))
    assert call("list", ANY | {"order": which, "metric": 0}, data=data) == expected
