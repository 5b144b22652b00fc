"""What the documentation tells a reader to type: run here, or checked, or listed with the reason why not."""

import dataclasses
import importlib
import inspect
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import click
import diffusers
import drawn
import pytest
import tiny
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from versat2i.adapters import lora, mixture, mixture_files
from versat2i.cli import main
from versat2i.models import diffusion
from versat2i.models.diffusion import published
from versat2i.settings import compute, params
from versat2i.train import losses
from versat2i.work import fingerprint

ROOT = fingerprint.ROOT
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
PROGRAMS = (
    "versat2i",
    "dvc",
    "make",
    "git",
    "python",
    "pip",
    "uv",
    "tensorboard",
    "mkdir",
    "chgrp",
    "chmod",
    "cd",
    "eval",
    "hf",
    "ray",
    "sky",
    ".",
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

COSTLY = {
    "make *": "sets up an environment, or runs the whole pipeline (tests/test_pipeline.py and test_next_round.py)",
    "dvc *": "works on results of the whole pipeline or on a remote (tests/test_pipeline.py, tests/remote/)",
    "git *": "changes the reader's own repository, or reaches a server",
    "cd versat2i": "enters what was cloned",
    "mkdir -p /shared/*": "makes a folder for a group (tests/remote/test_shared_disk.py makes one)",
    "chgrp *": "gives it to the group (there too)",
    "chmod *": "lets the group write into it (there too)",
    "python -m versat2i.shapes.*": "trains the embedded model for hours",
    "python -m bench.*": "measures the embedded model for minutes (tests/bench/)",
    "python -m versat2i.tools.architecture": "writes into docs/ (tests/test_architecture.py draws the same picture)",
    "uv pip install *": "changes the environment (tests/rewards/common/test_plug_in.py installs into a folder)",
    "uv venv *": "makes a second environment (tests/rewards/common/test_isolated.py makes one)",
    "uv pip freeze *": "lists an environment that is not here (tests/rewards/common/test_isolated.py reads such lists)",
    "pip install *": "changes the environment; the extra that it names is in pyproject.toml, see below",
    "tensorboard --logdir *": "serves until it is stopped",
    ". .venv/bin/activate": "changes the reader's shell",
    "hf upload *": "reaches a hub",
    "ray start *": "starts a cluster (tests/work/test_cluster.py starts one of two nodes)",
    "sky *": "rents machines",
}
"""Commands that are not run here, each with the reason; their options are checked all the same."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and content of every fenced block of a language."""
    fences = [(page.name, fence) for page in PAGES for fence in FENCE.findall(page.read_text())]
    return [(page, body) for page, (found, body) in fences if found == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def inline() -> list[tuple[str, str]]:
    """Page and text of what stands in backticks within sentences and is a command."""
    found = []
    for page in PAGES:
        found += [(page.name, text) for text in re.findall(r"`([^`\n]+)`", prose(page))]
    return [(page, text) for page, text in found if text.split()[0] in PROGRAMS and " " in text]


def commands() -> list[str]:
    """Every command that a page shows, without comments, chains taken apart."""
    lines = [line for _, body in blocks("") for line in body.splitlines()] + [text for _, text in inline()]
    words = [shlex.split(line, comments=True) for line in lines]
    parts = [shlex.join(words).replace("'&&'", "&&").split(" && ") for words in words if words]
    return sorted({part for chain in parts for part in chain})


def snippets(language: str) -> list:
    return [pytest.param(body, id=f"{page}-{number}") for number, (page, body) in enumerate(blocks(language))]


def options(words: list[str]) -> list[str]:
    return [word.split("=")[0] for word in words if word.startswith("-")]


def known_options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def check_click(command: click.Command, words: list[str]) -> None:
    assert set(options(words)) <= known_options(command) | {"--help"}


def check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = makefile.split(".PHONY:")[1].splitlines()[0].split()
    for word in words:
        name, equals, _ = word.partition("=")
        assert f"$({name})" in makefile if equals else word in targets, word


def check_dvc(words: list[str]) -> None:
    from dvc.cli import parse_args  # a second

    parse_args(words)


def check_python(words: list[str]) -> None:
    assert words[0] == "-m"
    check_click(importlib.import_module(words[1]).main, words[2:])


def check_git(words: list[str]) -> None:
    shown = subprocess.run(["git", words[0], "-h"], capture_output=True, text=True, check=False)
    assert shown.returncode == 129 and "usage: git" in shown.stdout + shown.stderr, words


CHECKS = {
    "versat2i": lambda words: check_click(main.get_command(click.Context(main), words[0]), words[1:]),
    "make": check_make,
    "dvc": check_dvc,
    "python": check_python,
    "git": check_git,
}


@pytest.mark.parametrize("command", commands())
def test_a_command_has_the_options_that_are_shown(command):
    program, *words = shlex.split(command)
    assert program in PROGRAMS, f"{command}: no test knows {program}"
    if program in CHECKS:
        CHECKS[program](words)


@pytest.mark.parametrize("command", commands())
def test_a_command_is_run_or_listed_with_the_reason(command):
    listed = [pattern for pattern in COSTLY if fnmatch(command, pattern)]
    run = command.split()[0] == "versat2i"  # below
    assert run != bool(listed), f"{command}: run it in this file, or give the reason in COSTLY"


def test_no_reason_is_given_for_a_command_that_no_page_shows():
    for pattern in COSTLY:
        assert any(fnmatch(command, pattern) for command in commands()), pattern


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    """A clone after a run: a tiny model at its usual place, an expert, a mixture, results, a commit."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copytree(model_folder, root / "versat2i/shapes/model")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["evaluate"] |= {"steps": 1, "batch_size": 4}
    for name in ("dvc.yaml", "environment.json", "compute.yaml"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "presets", root / "presets")
    (root / "params.yaml").write_text(drawn.yaml_text(settings))
    numbers = {"mean": 0.6, "gain": 0.1, "low": 0.0, "high": 0.2, "win_rate": 0.6, "abstained": 0}
    results = json.dumps({"base": {"tifa": {"mean": 0.5, "abstained": 0}}, "mixture": {"tifa": numbers}, "summary": {}})
    (root / "metrics").mkdir()
    (root / "metrics/evaluate.json").write_text(results)
    (root / "samples").mkdir()
    Image.new("RGB", (64, 64), "white").save(root / "samples/000-base.png")
    Image.new("RGB", (512, 512), "white").save(root / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _train(params.load())
        git("init", "-q")
        git("add", "metrics")
        git("commit", "-qm", "results")
        git("tag", "round-0")
    return root


def _train(settings: params.Params) -> None:
    model = diffusion.load(settings.model)
    experts = [
        dataclasses.replace(tiny.adapter(model.denoiser, aspect, alpha=0.2), metadata=model.identity)
        for aspect in settings.aspects
    ]
    for expert in experts:
        lora.write(expert, Path("data/adapters") / expert.name)
    mixed = mixture.attach(model.denoiser, experts, "token", training=True)
    with torch.no_grad():
        latents, prompts = torch.zeros(1, 4, 16, 16), model.embed(["a red circle"])
        losses.diffusion_loss(model, latents, prompts, torch.Generator().manual_seed(0), None)
    mixture_files.save(mixed, Path("data/adapters/mixture"), model.identity)


@pytest.fixture
def clone(finished, monkeypatch):
    monkeypatch.chdir(finished)
    monkeypatch.setenv("VERSAT2I_WORK", str(finished / ".work"))
    return finished


def arguments(command: str) -> list[str]:
    """A command's words, with `*` as the shell reads it."""
    words = shlex.split(command)[1:]
    return [str(path) for word in words for path in (sorted(Path().glob(word)) if "*" in word else [word])]


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("versat2i ")])
def test_a_command_of_this_package_runs_after_a_run(clone, command):
    result = CliRunner().invoke(main, arguments(command))
    # the doctor ends with 1 where it finds something wrong, as here: this clone has no .dvc
    assert result.exit_code == (1 if "doctor" in command else 0) and result.output, result.output
    assert "Error" not in result.output


@pytest.mark.parametrize("code", snippets("python"))
def test_a_snippet_of_python_runs_after_a_run(clone, code):
    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


def merged(whole: dict, part: dict) -> dict:
    """Params with some of their entries replaced, two levels deep."""
    return whole | {k: whole[k] | v if isinstance(v, dict) and k != "model" else v for k, v in part.items()}


@pytest.mark.parametrize("text", snippets("yaml"))
def test_a_snippet_of_yaml_is_what_params_take(text):
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    alternatives = text.splitlines()[1:] if text.count("model: {path") == 1 else [text]
    for alternative in alternatives:
        part = yaml.safe_load(alternative)
        if set(part) <= set(compute.Compute.model_fields):
            compute.Compute.model_validate(part)
            continue
        nested = {"prompts": part} if set(part) <= {"train", "dev", "eval"} else part
        params.parse(drawn.yaml_text(merged(whole, nested)))


def test_the_table_of_models_says_what_the_code_does():
    """Each class once; how it is guided, at which scale, in how many steps, and whether ComfyUI has names for it."""
    page = (ROOT / "docs/models.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "Pipeline` |" in line
    ]
    known = {family.pipeline_class: family for family in diffusion.FAMILIES}
    assert [row[0].strip("`") for row in rows] == list(known)
    for name, _, guidance, size_and_steps, _, _, comfyui in rows:
        family = known[name.strip("`")]
        assert ("second pass" in guidance) == (family.passes == 2), name
        assert ("the pipeline's + 1" in guidance) == (family.scale(1.0).get("guidance_scale") == 0), name
        asked = inspect.signature(getattr(diffusers, family.pipeline_class).__call__).parameters
        scale = asked["true_cfg_scale" if "true_cfg_scale" in guidance else "guidance_scale"].default
        if name not in ("`StableDiffusion3Pipeline`",):  # its pipeline is of SD 3, the table of SD 3.5's cards
            assert f"{scale:g}" in guidance and f"{asked['num_inference_steps'].default}" in size_and_steps, name
        # of Stable Diffusion 1.x to XL the names are kohya's, and the family is known by the model
        called = family.family if isinstance(family.family, str) else "sdxl"
        assert ("none" in comfyui) != (published.known(called) or family.denoiser_name == "unet"), name


@pytest.mark.parametrize("text", snippets("toml"))
def test_a_snippet_of_toml_is_toml(text):
    assert tomllib.loads(text)


def test_extras_that_a_page_installs_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    shown = {extra for page in PAGES for extra in re.findall(r"versat2i\[(\w+)\]", page.read_text())}
    assert shown and shown <= set(extras)


def test_every_kind_of_snippet_is_tested():
    kinds = {kind for page in PAGES for kind, _ in FENCE.findall(page.read_text())}
    assert kinds <= {"", "python", "yaml", "toml", "sh"}  # the last by tests/test_your_model.py


def anchors(page: Path) -> set[str]:
    """What a link into a page can name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_and_heading_that_a_page_links_is_there():
    for page in PAGES:
        for link, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
            if "://" not in link:
                target = page.parent / link if link else page
                assert target.exists() and (not anchor or anchor in anchors(target)), f"{page.name}: {link}#{anchor}"
