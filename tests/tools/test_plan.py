"""What a run will take: amounts that follow from params, each times the cost of one that was measured."""

import drawn
import pytest
from click.testing import CliRunner

from versat2i.cli import main
from versat2i.settings import params
from versat2i.settings.training import Distilled
from versat2i.tools import plan as planning

PROMPTS = {"train": 10, "dev": 4, "eval": 7}


def settings(model, **changes):
    whole = drawn.settings(model, ("aesthetic", "low_level")).model_dump()
    whole["generate"] |= {"per_prompt": 8, "steps": 10, "guidance_scale": 1.0}
    whole["evaluate"] |= {"per_prompt": 3, "steps": 5, "guidance_scale": 4.0, "split": "eval"}
    whole["evaluate"] |= {"variants": ["base", "mixture"], "judges": [{"evaluator": "second_reader"}]}
    whole["mix"] = {
        "mixture": whole["mix"]["mixture"] | {"steps": 20},
        "joint": {"kind": "joint"},
        "uniform": {"kind": "uniform"},
    }
    for aspect, steps in (("aesthetic", 3), ("low_level", 4)):
        whole["train_lora"][aspect] = whole["train_lora"][aspect] | {"steps": steps}
    return params.Params.model_validate(whole | changes)


def test_all_work_is_counted(model):
    found = [(w.stage, w.kind, w.amount, w.factor) for w in planning.work(settings(model), PROMPTS)]
    shown = 7 * 3 * 2
    assert found == [
        ("generate", "draw", 80, 1.0),
        ("score@aesthetic", "aesthetic random", 80, 1.0),
        ("score@low_level", "low_level random", 80, 1.0),
        ("train_lora@aesthetic", "lora aesthetic", 3, 1.0),
        ("train_lora@low_level", "lora low_level", 4, 1.0),
        ("mix@mixture", "gates mixture", 20, 1.0),
        ("mix@joint", "lora aesthetic", 7, 1.0),
        ("evaluate", "draw", shown, 1.0),  # half the steps, each of them twice with guidance
        ("evaluate", "aesthetic random", shown, 1.0),
        ("evaluate", "low_level random", shown, 1.0),
        ("evaluate", "judges second_reader", shown, 1.0),
    ]


def test_a_distilled_lora_draws_asks_its_teachers_and_trains(model):
    """3 of 4 steps to the mean state of Beta(3, 1), base and 2 experts, against 10 steps a candidate."""
    rule = {
        **{"kind": "distilled", "weights": {"aesthetic": 1.0, "low_level": 1.0}, "rank": 4, "states": [3.0, 1.0]},
        **{"steps": 6, "batch_size": 2, "learning_rate": 0.1, "lr_scheduler": "constant", "caption_dropout": 0.0},
        **{"draw_steps": 4, "guidance_scale": 1.0},
    }
    whole = settings(model).mix | {"student": Distilled.model_validate(rule)}
    listed = planning.work(settings(model).model_copy(update={"mix": whole}), PROMPTS)
    found = [(w.kind, w.amount, w.factor) for w in listed if w.stage == "mix@student"]
    assert found == [("draw", 12, 0.6), ("lora aesthetic", 6, 1.0)]


def sized(model, candidates, evaluation):
    whole = settings(model).model_dump()
    whole["generate"]["size"], whole["evaluate"]["size"] = candidates, evaluation
    return params.Params.model_validate(whole)


def test_images_of_another_size_are_work_of_another_kind(model):
    """Larger images for the evaluation cost more than their passes, and more bytes."""
    whole = sized(model, 512, 1024)
    listed = planning.work(whole, PROMPTS)
    drawn = [(w.stage, w.kind, w.factor) for w in listed if w.kind.startswith("draw")]
    assert drawn == [("generate", "draw 512 px", 1.0), ("evaluate", "draw 1024 px", 1.0)]
    measured = planning.Measured(image_bytes={"draw 512 px": 1e6, "draw 1024 px": 4e6}, adapter_bytes=[1])
    found = planning.gigabytes(whole, listed, measured)
    assert (found["candidates"], found["evaluation"]) == pytest.approx((2 * 80e-3, 2 * 42 * 4e-3))


def test_a_model_that_is_told_its_guidance_has_one_pass_a_step(model):
    whole = settings(model)  # 10 steps without guidance, 5 with
    drawn = [w.factor for w in planning.work(whole, PROMPTS, passes=1) if w.stage == "evaluate" and w.kind == "draw"]
    assert drawn == [0.5]


def test_gigabytes_are_bytes_times_amounts_times_copies(model):
    whole = settings(model)
    measured = planning.Measured(image_bytes={"draw": 1e6}, adapter_bytes=[2_000_000, 3_000_000])
    found = planning.gigabytes(whole, planning.work(whole, PROMPTS), measured)
    assert found == pytest.approx(
        {
            "candidates": 2 * 80 * 1e-3,
            "selected, at most": 2 * 2 * (2 * 10) * 1e-3,  # a pick and its rival of each aspect and prompt
            "evaluation": 2 * 42 * 1e-3,
            "adapters": 2 * (5 + 3 * 5) * 1e-3,
        }
    )


@pytest.fixture
def here(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings(model).model_dump()))


def plan(*words):
    result = CliRunner().invoke(main, ["plan", *words])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_a_plan_is_timed_with_the_model_and_the_evaluators_of_params(here):
    lines = plan()
    rows = {tuple(line.split()[:2]): line.split() for line in lines if line.endswith(tuple("0123456789"))}
    draw, step = rows["generate", "draw"], rows["train_lora@aesthetic", "lora"]
    assert float(draw[-3]) > 0 and float(step[-3]) > 0 and draw[2] == "24"  # of the grammar's 3 prompts
    assert any(line.startswith("weights of the model") for line in lines)
    assert not any("GPU" in line for line in lines)


def test_a_plan_without_timing_loads_no_model(here, monkeypatch):
    monkeypatch.setattr(planning, "measure", None)
    lines = plan("--untimed")
    assert [line.split()[-2:] for line in lines][:2] == [["24", "images"], ["24", "images"]]
