"""The search for constant weights climbs to the best that it can reach, and asks for none twice."""

import drawn
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from bench import unite, weights
from versat2i.formats import metrics
from versat2i.settings.training import Constant
from versat2i.work import places

BEST = {"a": 0.75, "b": 0.5}


def score(asked, found):
    asked.append(found)
    return -sum((found[name] - BEST[name]) ** 2 for name in BEST)


def test_the_search_climbs_from_the_best_common_weight_and_asks_once():
    """.5 for both is best of the common ones; a times 1.5 is .75, and nothing is better."""
    asked = []
    tried = weights.search(lambda found: score(asked, found), list(BEST), (0.25, 0.5, 1.0), 1.5, 5)
    assert asked == [found for found, _ in tried]
    assert len({tuple(found.values()) for found in asked}) == len(asked) == 3 + 4 + 1  # then a at 1.125 alone is new
    assert max(tried, key=lambda each: each[1]) == ({"a": 0.75, "b": 0.5}, 0.0)


@pytest.mark.parametrize("rounds", [0, 1])
def test_rounds_bound_the_search(rounds):
    asked = []
    weights.search(lambda found: score(asked, found), list(BEST), (0.5,), 1.5, rounds)
    assert len(asked) == 1 + 4 * rounds


def test_weights_are_judged_by_the_summary_or_by_the_least_share(tmp_path, monkeypatch):
    gain = {"score": 0.25, "low": 0.1, "high": 0.4}
    metrics.write_json({"summary": {"constant": gain}}, tmp_path / places.metrics("evaluate"))
    monkeypatch.setattr(unite, "own_metrics", lambda root: {"a": "x", "b": "y"})
    rows = [("a", "x", 0.2), ("a", "y", 0.0), ("b", "x", 0.0), ("b", "y", 0.1)]
    rows += [("constant", "x", 0.1), ("constant", "y", 0.08)]
    table = pd.DataFrame(rows, columns=["variant", "metric", "gain"])
    assert weights.reached(tmp_path, table, "summary") == 0.25
    assert weights.reached(tmp_path, table, "least") == pytest.approx(0.5)


def test_the_best_weights_are_told_as_params_take_them(tmp_path, monkeypatch, model):
    """Each trial has its own folder; .375 for one aspect and .25 for the other is best here."""
    settings = drawn.settings(model, aspects=("colour", "form"))
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings.model_dump()))
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "store"))
    roots, best = [], {"colour": 0.375, "form": 0.25}

    def trial(root, run, changes, project):
        roots.append(root)
        return changes[0]["mix"]["constant"]["weights"]

    monkeypatch.setattr(unite, "trial", trial)
    monkeypatch.setattr(weights, "reached", lambda root, found, by: -sum(abs(found[k] - best[k]) for k in best))
    result = CliRunner().invoke(weights.main, ["--run", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    told = yaml.safe_load(result.output.splitlines()[-1])
    assert Constant.model_validate(told["constant"]).weights == best
    assert len(set(roots)) == len(roots) == 7 and f"best of {len(roots)} on dev" in result.output
