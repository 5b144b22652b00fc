"""Unions are compared on a run's own experts, which are not trained again."""

import drawn
import pandas as pd
import pytest
import small_run

from bench import unite
from versat2i.work import places

WEIGHTS = {"aesthetic": 0.5, "faithfulness": 1.0}
STEPS = {name: drawn.LORA[name] for name in ("steps", "batch_size", "learning_rate", "lr_scheduler", "caption_dropout")}
MIX = {
    "own": {"kind": "constant", "weights": WEIGHTS},
    "late": drawn.GATES | drawn.TRAINING | STEPS | {"scope": "time"},
    "asked": drawn.GATES | drawn.TRAINING | STEPS | {"scope": "prompt"},
    "student": {"kind": "distilled", "weights": WEIGHTS, "rank": None, "states": [5.0, 2.0]}
    | STEPS
    | {"draw_steps": 2, "guidance_scale": 2.0},
}


def test_shares_are_of_each_experts_own_gain_and_the_least_is_told():
    rows = [("colour", "c", 0.1), ("colour", "f", -0.1), ("form", "c", 0.0), ("form", "f", 0.2)]
    rows += [("half", "c", 0.05), ("half", "f", 0.15), ("worse", "c", -0.02), ("worse", "f", 0.2)]
    table = pd.DataFrame(rows, columns=["variant", "metric", "gain"])
    found = unite.shares(table, {"colour": "c", "form": "f"})
    assert list(found.index) == ["half", "worse"]
    assert found.loc["half"].tolist() == pytest.approx([0.5, 0.75, 0.5])
    assert found.loc["worse"].tolist() == pytest.approx([-0.2, 1.0, -0.2])


@pytest.mark.slow
def test_a_trial_takes_a_runs_experts_and_makes_unions_alone(tmp_path, model_folder, monkeypatch, capsys):
    run = small_run.whole(tmp_path / "run", model_folder)
    before = small_run.contents(run)
    change = {"evaluate.split": "dev", "mix": MIX}
    change["evaluate.variants"] = ["base", "aesthetic", "faithfulness", *MIX]
    trials = {"plain": {}, "guards": {"select.faithfulness.guard": ["aesthetic"]}}
    (tmp_path / "unite.yaml").write_text(drawn.yaml_text({"change": change, "trials": trials}))
    monkeypatch.chdir(run)
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path / "store"))
    words = [str(tmp_path / "unite.yaml"), "--out", str(tmp_path / "out")]
    unite.main(words, standalone_mode=False)
    said = capsys.readouterr().out
    assert "\nplain\n| variant" in said and "\nguards\n" in said and "least" in said
    assert all(said.count(f"| {variant} ") == 4 for variant in MIX)  # gains and shares of two trials
    assert "train_lora@" not in said and "generate" not in said and said.count("mix@own") == 2
    assert said.count("select@") == 2  # of the trial with guards
    sets = [tmp_path / "out" / "unite" / trial / places.selected("aesthetic") for trial in trials]
    assert [folder.is_symlink() for folder in sets] == [True, False]
    assert small_run.contents(run) == before
    unite.main([*words, "--only", "plain"], standalone_mode=False)
    assert "mix@own" not in capsys.readouterr().out
