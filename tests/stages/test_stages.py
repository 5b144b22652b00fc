"""Stages are quick to ask for help, and quick to say that params are wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py") if path.stem != "command")


def test_no_stage_imports_torch_or_diffusers_before_it_runs():
    code = (
        f"import importlib, sys\nfor name in {STAGES}: importlib.import_module('stages.' + name)\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "command", [["generate"], ["train_lora", "geometry"], ["mix", "mixture"], ["evaluate", "base"]]
)
def test_a_misspelt_param_is_told_before_anything_heavy_is_imported(command, tmp_path):
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["generate"]["per_promt"] = settings["generate"].pop("per_prompt")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "environment.json").write_text((ROOT / "environment.json").read_text())
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    name, *arguments = command
    code = f"import sys; sys.path.insert(0, '.'); from stages.{name} import main; main({arguments})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and "Did you mean 'per_prompt'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "torch was imported" not in done.stderr
