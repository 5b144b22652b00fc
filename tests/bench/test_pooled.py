"""Gains pooled over training seeds and prompts."""

import numpy as np
import pandas as pd
import pytest

from bench import pooled


def test_seeds_that_agree_give_the_interval_over_prompts():
    prompts = np.random.default_rng(0).normal(0.5, 1.0, 400)
    mean, low, high = pooled.interval(np.stack([prompts] * 3))
    half = 1.96 * prompts.std() / 20
    assert mean == pytest.approx(prompts.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.01)


def test_seeds_that_differ_widen_it_to_what_they_differ_by():
    alike = np.array([[0.0], [1.0], [2.0]]).repeat(50, axis=1)
    mean, low, high = pooled.interval(alike)
    assert (mean, low, high) == (1.0, 0.0, 2.0)  # 1 in 27 resamples has one extreme seed only: beyond 2.5 %


def test_the_least_gain_of_a_seed_stands_beside_the_pooled_one():
    runs = [{"tifa": pd.DataFrame({"mixture": [gain, gain]})} for gain in (0.1, 0.3)]
    rows, least = pooled.table(runs)
    assert rows["gain"].tolist() == pytest.approx([0.2]) and least.loc["mixture", "tifa"] == pytest.approx(0.1)


def test_variants_that_one_run_lacks_are_left_out():
    runs = [{"tifa": pd.DataFrame({"mixture": [0.1], "joint": [0.2]})}, {"tifa": pd.DataFrame({"mixture": [0.3]})}]
    rows, least = pooled.table(runs)
    assert rows["variant"].tolist() == ["mixture"] and least.index.tolist() == ["mixture"]


def test_a_metric_without_a_number_is_left_out():
    runs = [{"tifa": pd.DataFrame({"mixture": [0.1]}), "diversity": pd.DataFrame({"mixture": [np.nan]})}]
    rows, least = pooled.table(runs)
    assert rows["metric"].tolist() == ["tifa"] and least.columns.tolist() == ["tifa"]


def test_gains_are_told_over_any_variant_and_in_one_number(monkeypatch):
    means = {
        "tifa": pd.DataFrame({"base": [0.0, 2.0], "mixture": [1.0, 3.0], "uniform": [0.0, 3.0]}),
        "aesthetic": pd.DataFrame({"base": [0.0, 4.0], "mixture": [2.0, 4.0], "uniform": [0.0, 4.0]}),
        "diversity": pd.DataFrame({"base": [1.0, 1.0], "mixture": [1.0, 1.0], "uniform": [1.0, 1.0]}),
    }
    monkeypatch.setattr(pooled, "evaluations", lambda root: {})
    monkeypatch.setattr(pooled.statistics, "prompt_means", lambda scores: means)
    monkeypatch.setattr(pooled.unite, "own_metrics", lambda root: {"faithfulness": "tifa", "aesthetic": "aesthetic"})
    found = pooled.gains(None, "uniform")
    assert found["tifa"]["mixture"].tolist() == [1.0, 0.0] and "uniform" not in found["tifa"]
    assert found["summary"]["mixture"].tolist() == [(1 / 1 + 2 / 2) / 2, 0.0]  # base's deviations are 1 and 2
    assert pooled.gains(None, "base")["summary"]["mixture"].tolist() == [(1 + 1) / 2, (1 + 0) / 2]
