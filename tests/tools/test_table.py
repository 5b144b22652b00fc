"""The table shows base's means, each gain with its interval, and the last time of each stage."""

import json

import pytest
from click.testing import CliRunner

from versat2i.tools import table


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "work"))
    return tmp_path


def printed(folder, results):
    (folder / "metrics").mkdir()
    (folder / "metrics/evaluate.json").write_text(json.dumps(results))
    result = CliRunner().invoke(table.main)
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines() if line]


ENTRY = {"mean": 0.75, "gain": 0.05, "low": -0.01, "high": 0.11, "win_rate": 0.6, "abstained": 0}


def test_a_row_a_variant_and_a_column_a_metric(here):
    results = {
        "base": {"tifa": {"mean": 0.7, "abstained": 0}, "piqe": {"abstained": 20}},
        "mixture": {"tifa": ENTRY, "piqe": {"abstained": 20}},
        "summary": {"mixture": {"score": 0.25, "low": 0.1, "high": 0.4, "metrics_left_out": 1}},
    }
    assert printed(here, results) == [
        ["variant", "tifa", "piqe"],
        ["base", "(mean)", "0.7000", "-"],
        ["mixture", "+0.0500", "[-0.0100,", "+0.1100]", "-"],
        ["mean", "gain", "over", "the", "aspects,", "in", "standard", "deviations", "of", "base"],
        ["mixture", "+0.250", "[+0.100,", "+0.400]"],
    ]


def test_the_gain_of_one_union_over_another_stands_in_the_summary(here):
    gain = {"gain": -0.125, "low": -0.25, "high": 0.0}
    lines = printed(here, {"base": {"tifa": {"mean": 1.0, "abstained": 0}}, "summary": {"mixture_minus_uniform": gain}})
    assert lines[-1] == ["mixture_minus_uniform", "-0.125", "[-0.250,", "+0.000]"]


def test_a_metric_of_which_less_is_better_says_so_in_its_column(here):
    base = {"niqe": {"mean": 8.0, "abstained": 0, "lower_is_better": True}}
    lines = printed(here, {"base": base, "mixture": {"niqe": ENTRY | {"lower_is_better": True}}, "summary": {}})
    assert lines == [
        ["variant", "niqe", "(lower", "is", "better)"],
        ["base", "(mean)", "8.0000"],
        ["mixture", "+0.0500", "[-0.0100,", "+0.1100]"],
    ]


def test_times_are_those_of_the_last_run(here):
    (here / "work").mkdir()
    rows = [{"stage": "generate", "seconds": seconds} for seconds in (9.0, 2.0)]
    (here / "work/timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = printed(here, {"base": {"tifa": {"mean": 1.0, "abstained": 0}}, "summary": {}})
    assert lines[-3:] == [["last", "time", "of", "each", "stage"], ["generate", "2.0", "s"], ["total", "2.0", "s"]]


def test_without_results_it_says_what_makes_them(here):
    result = CliRunner().invoke(table.main)
    assert result.exit_code == 1
    assert result.output == "Error: metrics/evaluate.json: no results yet. Run `make repro` first\n"
