"""The curve over rounds says what each gained, and each reason to stop in one line."""

import json
import subprocess

import pytest

from versat2i.compare.results import Evaluation
from versat2i.tools import rounds
from versat2i.tools.rounds import Round


def result(mean, low=None, high=None, **more):
    """A variant's result in a metric; its gain is the middle of the interval."""
    gain = {} if low is None else {"gain": (low + high) / 2, "low": low, "high": high, "win_rate": 0.5}
    return {"mean": mean, "abstained": 0, **gain, **more}


def round_(number, mixture, base=None):
    content = {"base": base or {name: result(0.5) for name in mixture}, "mixture": mixture, "summary": {}}
    return Round(number, f"round-{number}", Evaluation.model_validate(content))


BETTER, UNCLEAR, WORSE = (0.01, 0.03), (-0.01, 0.03), (-0.03, -0.01)


@pytest.mark.parametrize(
    ("tifa", "geometry", "reader", "diversity", "expected"),
    [
        (BETTER, UNCLEAR, UNCLEAR, 0.5, []),
        (BETTER, WORSE, BETTER, 0.476, []),  # 4.8 % less
        (UNCLEAR, WORSE, BETTER, 0.6, ["round 3 gained nothing: stop here"]),
        (BETTER, BETTER, WORSE, 0.5, ["round 3: the judge reader falls, -0.0200 [-0.0300, -0.0100]: stop here"]),
        (BETTER, BETTER, BETTER, 0.475, ["round 3: diversity falls by 5%: stop here"]),
    ],
)
def test_a_round_that_gains_nothing_or_costs_a_judge_or_diversity_is_told_so(
    tifa, geometry, reader, diversity, expected
):
    found = {"tifa": result(0.6, *tifa), "geometry": result(0.6, *geometry), "reader": result(0.6, *reader)}
    base = dict.fromkeys([*found, "diversity"], result(0.5))
    last = round_(3, found | {"diversity": result(diversity, *BETTER)}, base)
    assert rounds.brakes(last, ["reader"]) == expected


def test_a_row_has_the_gains_over_the_last_round_and_over_the_first_base():
    first = round_(0, {"tifa": result(0.6, *BETTER)})
    second = round_(1, {"tifa": result(0.7, *UNCLEAR, over_first={"gain": 0.2, "low": 0.1, "high": 0.3})})
    table = rounds.curve([first, second])
    assert table.to_numpy().tolist() == [
        [0, "tifa", "0.6000", "+0.0200 [+0.0100, +0.0300]", "+0.0200 [+0.0100, +0.0300]"],
        [1, "tifa", "0.7000", "+0.0100 [-0.0100, +0.0300]", "+0.2000 [+0.1000, +0.3000]"],
    ]


def test_a_variant_that_a_round_has_not_evaluated_is_named():
    with pytest.raises(ValueError, match=r"round-0 has no results of uniform \(it has base, mixture\)"):
        rounds.curve([round_(0, {"tifa": result(0.6, *BETTER)})], "uniform")


def test_rounds_are_read_from_tags_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-qm", "empty", "--allow-empty")
    git("tag", "round-x")
    with pytest.raises(ValueError, match=r"no round has a tag yet\. After `make repro`, commit its results"):
        rounds.read()
    for number in (0, 2, 10):
        content = {"base": {"tifa": result(number / 100)}, "summary": {}}
        (tmp_path / "metrics").mkdir(exist_ok=True)
        (tmp_path / "metrics/evaluate.json").write_text(json.dumps(content))
        git("add", "-A")
        git("commit", "-qm", "results")
        git("tag", f"round-{number}")
    found = rounds.read()
    assert [each.number for each in found] == [0, 2, 10]
    assert [each.results.of("base", "tifa").mean for each in found] == [0.0, 0.02, 0.1]
