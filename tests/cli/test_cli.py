"""The command line: what it prints, and one line for what goes wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import drawn
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from versat2i.cli import COMMANDS, main
from versat2i.work import timings

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0 and f"versat2i {command}" in result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from versat2i.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'diffusers', 'transformers', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_rewards_are_listed_with_range_and_licence():
    lines = run("rewards", "geometry").output.splitlines()
    assert lines[0].split()[:3] == ["aspect", "evaluator", "metric"]
    (line,) = [line for line in lines if " regularity " in line]
    assert "0 to 1" in line and "Apache-2.0" in line


def test_an_evaluator_that_needs_options_tells_its_licence_and_the_options():
    lines = {line.split()[1]: line for line in run("rewards").output.splitlines()[1:]}
    for name, option in {"tifa": "vqa", "vqascore": "model", "q_instruct": "model", "image_reward": "model"}.items():
        assert f" {option}" in lines[name] and "Apache-2.0, this project; " in lines[name]
    assert "PolyForm-Noncommercial" in lines["pyiqa:<metric>"]
    assert not any("missing" in line or "does not exist" in line for line in lines.values())


def test_an_unknown_aspect_names_the_close_one():
    result = run("rewards", "geometri")
    assert result.exit_code == 1 and "Did you mean 'geometry'?" in result.output and "Traceback" not in result.output


def test_costs_are_the_last_times(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    assert run("costs").output == "no stage has run here yet\n"
    (tmp_path / "timings.jsonl").write_text('{"stage": "generate", "seconds": 2.0}\n')
    assert run("costs").output.split()[:3] == ["generate", "2.0", "s"]


def test_the_work_store_is_shown_and_pruned(tmp_path, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(tmp_path))
    (tmp_path / "generate" / "piece").mkdir(parents=True)
    (tmp_path / "generate" / "piece" / "file").write_bytes(b"x" * 2**20)
    assert run("work").output.splitlines() == [
        f"{'generate':<26}      1 pieces        1.0 MiB",
        f"total 1.0 MiB in {tmp_path}",
    ]
    assert "deleted 1.0 MiB" in run("work", "--prune").output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clone(tmp_path, monkeypatch, model_folder):
    """A folder with params of a tiny model."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["model"] |= {"path": str(model_folder), "mixed_precision": None}
    settings["evaluate"] |= {"steps": 1, "batch_size": 4}
    (tmp_path / "params.yaml").write_text(drawn.yaml_text(settings))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sample_writes_an_image_each_and_a_grid(clone):
    result = run("sample", "a red circle", "two blue stars", "--variant", "base", "--images", "2", "--out", "out")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (clone / "out").glob("*.png"))
    assert names == ["000-base.png", "001-base.png", "002-base.png", "003-base.png"]
    assert (clone / "out/sheets/grid.png").exists()
    images = [np.asarray(Image.open(clone / "out" / name)) for name in names[:4]]
    assert images[0].shape == (64, 64, 3) and not np.array_equal(images[0], images[1])
    again = run("sample", "a red circle", "--variant", "base", "--out", "out")
    assert again.output.startswith("moved an earlier run's images to out/earlier/1\n")
    assert [path.name for path in (clone / "out").glob("*.png")] == ["000-base.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a red dragon", "--variant", "base"), "'dragon' is not a word that this model knows"),
        (("a red circle", "--variant", "mixture"), "data/adapters/mixture"),
        (("a red circle", "--weight", "geometry"), "expected ASPECT=NUMBER"),
    ],
)
def test_sample_says_in_one_line_what_is_wrong(clone, arguments, message):
    result = run("sample", *arguments)
    assert result.exit_code == 1 and message in result.output and len(result.output.splitlines()) == 1
    assert not (clone / "samples").exists()


def test_score_prints_a_line_an_image_and_aspect(clone):
    Image.new("RGB", (64, 64), "white").save("white.png")
    result = run("score", "white.png", "--prompt", "a red circle on a white background", "--aspect", "faithfulness")
    assert result.exit_code == 0 and result.output.split()[:2] == ["white.png", "tifa"]


def test_score_needs_an_aspect_that_params_know(clone):
    Image.new("RGB", (64, 64), "white").save("white.png")
    result = run("score", "white.png", "--prompt", "a red circle", "--aspect", "geometri")
    assert result.exit_code == 1 and "Did you mean 'geometry'" in result.output


def test_an_error_that_was_not_foreseen_is_one_line_and_its_traceback_is_kept(clone, monkeypatch):
    monkeypatch.setenv("VERSAT2I_WORK", str(clone / "work"))
    monkeypatch.setattr(timings, "table", lambda: {}["none"])
    result = run("costs")
    kept = clone / "work" / "errors" / "costs.txt"
    assert result.exit_code == 1 and result.output == f"Error: costs: KeyError: 'none' (traceback in {kept})\n"
    assert "Traceback" in kept.read_text()


def test_a_command_that_is_stopped_says_so(clone, monkeypatch):
    monkeypatch.setattr(timings, "table", lambda: os.kill(os.getpid(), signal.SIGTERM))
    result = run("costs")
    assert result.exit_code == 1 and result.output == "Error: costs: stopped\n"


def test_a_command_below_the_root_works_there_and_its_paths_are_the_callers(clone, monkeypatch):
    below = clone / "pictures" / "mine"
    below.mkdir(parents=True)
    Image.new("RGB", (64, 64), "white").save(below / "white.png")
    monkeypatch.chdir(below)
    result = run("score", "white.png", "--prompt", "a red circle on a white background", "--aspect", "faithfulness")
    assert result.exit_code == 0 and result.output.split()[:2] == ["pictures/mine/white.png", "tifa"]
    assert Path.cwd() == below


def test_a_reader_that_has_enough_ends_a_command_without_a_word():
    command = f"{sys.executable} -c 'from versat2i.cli import main; main()' rewards"
    done = subprocess.run(["bash", "-c", f"{command} | head -1"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("aspect") and done.stderr == ""
