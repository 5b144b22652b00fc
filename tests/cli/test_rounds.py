"""`versat2i rounds` prints the curve and the reasons to stop."""

from click.testing import CliRunner

from versat2i import cli
from versat2i.compare.results import Evaluation
from versat2i.tools import rounds

NUMBERS = {"mean": 0.6, "gain": 0.0, "low": -0.1, "high": 0.1, "win_rate": 0.5, "abstained": 0}


def test_the_curve_is_printed_with_a_line_for_each_reason_to_stop(monkeypatch):
    results = {"base": {"tifa": {"mean": 0.6, "abstained": 0}}, "mixture": {"tifa": NUMBERS}, "summary": {}}
    found = [rounds.Round(0, "round-0", Evaluation.model_validate(results))]
    monkeypatch.setattr(rounds, "read", lambda: found)
    done = CliRunner().invoke(cli.main, ["rounds"])
    assert done.exit_code == 0, done.output
    assert "+0.0000 [-0.1000, +0.1000]" in done.output
    assert done.output.splitlines()[-1] == "round 0 gained nothing: stop here"


def test_where_the_grid_cannot_be_written_is_told_first():
    done = CliRunner().invoke(cli.main, ["rounds", "--images", "grid.txt"])
    assert done.exit_code == 1 and "its ending says no kind of picture" in done.output
